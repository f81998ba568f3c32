"""KubeSchedulerConfiguration: which plugins a scheduler runs, with which arguments. The words of errors are upstream's."""
