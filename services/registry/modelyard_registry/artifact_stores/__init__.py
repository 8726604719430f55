"""Where artifacts' bytes lie: on disk, in S3, in Azure or Google storage, or in memory; one is chosen by settings."""
