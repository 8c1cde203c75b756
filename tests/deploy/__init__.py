"""What deploy/ offers: the image, the compose file, the Kubernetes chart."""
