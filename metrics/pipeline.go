package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tari-libp2p/tari-libp2p/pipeline"
)

var (
	pipelineMessages = counter("pipeline_messages_total", "Messages that are through a pipeline, by what became of them.", "direction", "outcome")
	pipelineBytes    = counter("pipeline_bytes_total", "Bytes of these messages.", "direction")
	pipelineSeconds  = counter("pipeline_seconds_total", "How long these messages took, together.", "direction")
	pipelineRunning  = gauge("pipeline_running", "Messages that are in a pipeline.", "direction")
)

// Pipeline is what one pipeline of a program has counted; direction tells it from the other, "inbound" or "outbound".
func Pipeline(direction string, m *pipeline.Metrics) prometheus.Collector {
	return pipelineCollector{direction, m}
}

type pipelineCollector struct {
	direction string
	m         *pipeline.Metrics
}

// Describe implements prometheus.Collector. Two pipelines may be in one registry, so it leaves that to the values.
func (c pipelineCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c pipelineCollector) Collect(out chan<- prometheus.Metric) {
	t := to(out)
	s := c.m.Counters()
	for outcome, n := range s.Messages {
		t.send(pipelineMessages, float64(n), c.direction, outcome)
	}
	t.send(pipelineBytes, float64(s.Bytes), c.direction)
	t.send(pipelineSeconds, s.Busy.Seconds(), c.direction)
	t.send(pipelineRunning, float64(s.Running), c.direction)
}
