package edge

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
)

// metrics are the node's Prometheus instruments. Every label takes its values
// from a closed set in the code, never from a client.
type metrics struct {
	registry *prometheus.Registry

	sessions    *prometheus.GaugeVec   // state
	transitions *prometheus.CounterVec // from, to
	machine     family                 // event
	lifecycle   family                 // what
	resumes     family                 // result

	errors      family // code
	gaps        family // why
	closeFrames family // code
	dropped     family // reason
	junk        prometheus.Counter

	requests    family // result
	requestTime prometheus.Histogram
	outboxFull  prometheus.Counter

	saves      family // result
	saveAge    prometheus.Histogram
	poolFull   prometheus.Counter
	reads      family // result
	natsErrors family // op
	natsState  prometheus.Gauge
	natsEvents family // event
	ready      prometheus.Gauge

	retired      prometheus.Counter
	shed         family // what
	memoryLimit  prometheus.Gauge
	memoryNeeded prometheus.Gauge
}

// family is a counter with one label of a closed set, its children resolved
// once: looking one up by label costs more than counting.
type family map[string]prometheus.Counter

func newFamily(vec *prometheus.CounterVec, values []string) family {
	f := make(family, len(values))
	for _, v := range values {
		f[v] = vec.WithLabelValues(v)
	}
	return f
}

// with returns the counter of a value. A value outside the set is a mistake in
// this package.
func (f family) with(value string) prometheus.Counter {
	c, ok := f[value]
	if !ok {
		panic("edge: " + value + " is no value of this metric's label")
	}
	return c
}

// wordsOf lists the words of an enum of n values.
func wordsOf[L interface {
	~uint8
	String() string
}](n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = L(i).String()
	}
	return list
}

func newMetrics() *metrics {
	registry := prometheus.NewRegistry()
	m := &metrics{registry: registry}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "hydrant", Name: name, Help: help})
		registry.MustRegister(c)
		return c
	}
	counterVec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "hydrant", Name: name, Help: help}, labels)
		registry.MustRegister(c)
		return c
	}
	familyOf := func(name, help, label string, values ...string) family {
		return newFamily(counterVec(name, help, label), values)
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "hydrant", Name: name, Help: help})
		registry.MustRegister(g)
		return g
	}
	histogram := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "hydrant", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)})
		registry.MustRegister(h)
		return h
	}
	m.sessions = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "hydrant", Name: "sessions",
		Help: "Sessions held by this node, by state."}, []string{"state"})
	registry.MustRegister(m.sessions)
	m.transitions = counterVec("session_transitions_total", "State changes of sessions.", "from", "to")
	m.machine = familyOf("session_machine_total", "What sessions met that is worth counting, by event.", "event", wordsOf[session.Event](int(session.NumEvents))...)
	m.lifecycle = familyOf("session_events_total", "Sessions opened, parked, resumed, released, doubted (another node's marker was seen), lost, expired.", "what", "opened", "parked", "park_failed", "resumed", "released", "doubted", "lost", "expired")
	m.resumes = familyOf("resumes_total", "Resume requests, by result.", "result", wordsOf[protocol.Outcome](protocol.NumOutcomes)...)
	m.errors = familyOf("client_errors_total", "Errors reported to clients, by code.", "code", wordsOf[protocol.Code](protocol.NumCodes)...)
	m.closeFrames = familyOf("close_frames_total", "Connections that the node itself closed, by close code.", "code", wordsOf[protocol.Close](protocol.NumCloses)...)
	m.gaps = familyOf("gaps_total", "Gaps in mailboxes, by cause.", "why", "overflow", "expired", "rollback")
	m.dropped = familyOf("dropped_total", "What was dropped or refused, by a bound or a rule, by reason.", "reason", "bad_order", "client_log", "consumer_cleanup", "directory_cleanup", "expiry",
		"given_away", "guess_table", "guesses", "late_answer", "live_queue", "look_up", "nats_queue", "open_timeout", "origin", "push_slow", "replay_table", "session_list", "slow")
	m.junk = counter("mailbox_junk_total", "Mailbox entries that are no UMF message or too large for a frame.")
	m.requests = familyOf("requests_total", "[METHOD] requests, by result.", "result", "answered", "timeout", "failed", "refused")
	m.requestTime = histogram("request_seconds", "Time from a [METHOD] request to its answer.")
	m.outboxFull = counter("outbox_full_total", "Messages refused because the queue to NATS was at its bound.")
	m.saves = familyOf("directory_writes_total", "Directory writes, by result.", "result", "ok", "fenced", "error")
	m.saveAge = histogram("checkpoint_age_seconds", "Age of a moved floor when its checkpoint was stored.")
	m.poolFull = counter("pool_full_total", "Blocking NATS calls refused because the queue was at its bound.")
	m.reads = familyOf("mailbox_reads_total", "Batches read from mailboxes, by result.", "result", "ok", "error")
	m.natsErrors = familyOf("nats_errors_total", "Operations on NATS and JetStream that failed, by operation.", "op", natsOperations[:]...)
	m.natsState = gauge("nats_connected", "1 while the connection to NATS is up.")
	m.natsEvents = familyOf("nats_events_total", "Connection and stream events of NATS.", "event", "disconnected", "reconnected", "leader", "error")
	m.ready = gauge("ready", "1 while the node is ready for clients.")
	m.retired = counter("retired_total", "Connections closed because of their age.")
	m.shed = familyOf("shed_total", "Clients refused or closed for lack of memory.", "what", "refused", "closed")
	m.memoryLimit = gauge("memory_limit_bytes", "Memory limit of the process; 0: none.")
	m.memoryNeeded = gauge("memory_needed_bytes", "What of the memory limit is needed: all but garbage and free room. 0 without a limit.")
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// sums adds up the counters of each name over their labels.
func (m *metrics) sums() (map[string]float64, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, err
	}
	sums := make(map[string]float64, len(families))
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			sums[family.GetName()] += metric.GetCounter().GetValue()
		}
	}
	return sums, nil
}
