package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// namespace begins every name, as tari_comms' begin with tari_comms::.
const namespace = "tari_comms"

// metric is one that is read when somebody asks.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), prometheus.CounterValue}
}

// to is a scrape under way: metrics are handed to it with their values.
type to chan<- prometheus.Metric

func (t to) send(m metric, value float64, labels ...string) {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "?") // names of protocols are any bytes that the program likes
	}
	t <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

// yes is a truth as Prometheus has it.
func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// The values of the label "direction".
const (
	inbound  = "inbound"
	outbound = "outbound"
)
