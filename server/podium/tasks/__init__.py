"""System tasks: work the server does itself. Each module runs one type; none knows workflows."""
