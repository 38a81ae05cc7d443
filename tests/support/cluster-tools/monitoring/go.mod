// The Prometheus Operator's CustomResourceDefinitions: files of this module, which is not built.
module phonemigration.dev/monitoring

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
