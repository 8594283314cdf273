"""What Kith needs around it on a machine: a local Kafka, and files for containers and monitoring."""
