"""Programs of users, run in child processes that can harm nothing: JavaScript, jq, JSONPath and
JSON Schema.
"""
