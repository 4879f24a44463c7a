package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tari-libp2p/tari-libp2p/connectivity"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// Events is what a node tells while it runs, counted. It is made by NewEvents; its Observe belongs into node.Config.OnEvent, or is called
// from there.
type Events struct {
	events    *prometheus.CounterVec
	success   *prometheus.CounterVec
	failed    *prometheus.CounterVec
	handshake *prometheus.HistogramVec
	bans      prometheus.Counter
	uptime    prometheus.GaugeFunc

	mu     sync.Mutex
	online time.Time // since when; zero while offline
}

// kinds are the events that are told of from the start, with 0.
var kinds = []node.EventKind{
	node.EventReady, node.EventConnected, node.EventDisconnected, node.EventMessage, node.EventBanned, node.EventUnbanned, node.EventSpared,
	node.EventStateChanged, node.EventDialFailed, node.EventRefused, node.EventRefusals, node.EventBookFailed, node.EventTor,
	node.EventIdentityBackup,
}

// stages are those of a handshake that have a histogram.
var stages = map[string]bool{
	dialect.StageWire: true, dialect.StageNoise: true, dialect.StageAdmit: true, dialect.StageIdentity: true, dialect.StageMuxer: true,
}

// seconds are the limits of the histogram's buckets: from a local network's handshake to the slowest that one through Tor may be.
var seconds = []float64{.0005, .002, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// NewEvents has counted nothing yet.
func NewEvents() *Events {
	named := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: namespace, Name: name, Help: help}
	}
	e := &Events{
		events: prometheus.NewCounterVec(prometheus.CounterOpts(
			named("events_total", "Events of the node, by kind.")), []string{"event"}),
		success: prometheus.NewCounterVec(prometheus.CounterOpts(
			named("connections_success_total", "Connections that became ready.")), []string{"direction"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts(
			named("connections_failed_total", "Connections that failed between connect and ready.")), []string{"direction"}),
		handshake: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "handshake_seconds",
			Help: "How long each stage of a handshake took, and whether it passed.", Buckets: seconds,
		}, []string{"stage", "direction", "result"}),
		bans: prometheus.NewCounter(prometheus.CounterOpts(named("banned_peers_total", "Bans put on peers, by the node or a person."))),
	}
	e.uptime = prometheus.NewGaugeFunc(prometheus.GaugeOpts(
		named("uptime_seconds", "Time since the node was first online; 0 while it is offline.")), e.onlineFor)
	for _, kind := range kinds {
		e.events.WithLabelValues(string(kind))
	}
	for _, dir := range []string{inbound, outbound} {
		e.success.WithLabelValues(dir)
		e.failed.WithLabelValues(dir)
	}
	return e
}

func (e *Events) parts() []prometheus.Collector {
	return []prometheus.Collector{e.events, e.success, e.failed, e.handshake, e.bans, e.uptime}
}

// Describe implements prometheus.Collector.
func (e *Events) Describe(out chan<- *prometheus.Desc) {
	for _, c := range e.parts() {
		c.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (e *Events) Collect(out chan<- prometheus.Metric) {
	for _, c := range e.parts() {
		c.Collect(out)
	}
}

// Observe counts an event. It returns at once, and may be called from any goroutine.
func (e *Events) Observe(event node.Event) {
	switch event.Kind {
	case node.EventConnected:
		e.success.WithLabelValues(event.Direction).Inc()
		e.stages(event)
	case node.EventRefused:
		if len(event.Stages) > 0 { // there was a handshake
			e.failed.WithLabelValues(event.Direction).Inc()
			e.stages(event)
		}
	case node.EventBanned:
		e.bans.Inc()
	case node.EventStateChanged:
		e.changed(event)
	}
	// Last: when the event is counted, so is all that it brings.
	if count, err := e.events.GetMetricWithLabelValues(string(event.Kind)); err == nil {
		count.Inc()
	}
}

func (e *Events) stages(event node.Event) {
	for _, s := range event.Stages {
		if !stages[s.Name] {
			continue
		}
		result := "ok"
		if s.Error != "" {
			result = "failed"
		}
		e.handshake.WithLabelValues(s.Name, event.Direction, result).Observe(time.Duration(s.TookUS * int64(time.Microsecond)).Seconds())
	}
}

// changed notes since when the node is online, by tari_comms' rule: while it is degraded the clock goes on.
func (e *Events) changed(event node.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case event.State == connectivity.Offline.String():
		e.online = time.Time{}
	case event.State == connectivity.Online.String() && e.online.IsZero():
		e.online = event.Time
	}
}

func (e *Events) onlineFor() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.online.IsZero() {
		return 0
	}
	return time.Since(e.online).Seconds()
}
