"""The store on the Redis protocol: Redis, Sentinel, Redis Cluster, Dynomite (distribution.md)."""
