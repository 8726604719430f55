"""Deployments: at which endpoint a version answers, in which environment, in what health."""
