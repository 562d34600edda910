package stats

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
)

// Metrics are the node's Prometheus instruments, for what happens seldom enough
// that loops may share them. It has a field for each, and so more than a struct
// should have. Safe for concurrent use.
type Metrics struct {
	Registry *prometheus.Registry // to be served; others may register with it

	// Sessions.
	Sessions  Sessions
	Machine   Counters[session.Event]
	Lifecycle Counters[Lifecycle]
	Resumes   Counters[protocol.Outcome]
	Gaps      Counters[session.Why]
	Junk      prometheus.Counter
	Spoiled   prometheus.Counter // entries

	// Clients.
	Errors       Counters[protocol.Code]
	Closes       Counters[protocol.Close]
	Dropped      Counters[Drop]
	Denied       Sampled[policy.Denial]
	WrongTokens  Sampled[TokenWay]
	Requests     Counters[Request]
	RequestTime  prometheus.Histogram
	UnderWay     prometheus.Gauge // requests by path
	Bodies       prometheus.Gauge // that wait for their turn
	Retired      prometheus.Counter
	Shed         Counters[Shed]
	Returned     Counters[Source]
	TailsEnded   Counters[TailEnd]
	TailParts    prometheus.Counter
	TailMisses   prometheus.Counter
	Passes       Counters[PassEnd]
	MemoryLimit  prometheus.Gauge
	MemoryNeeded prometheus.Gauge
	Ready        prometheus.Gauge
	Waiting      Flags[Part]
	Warnings     prometheus.Gauge

	// NATS.
	OutboxFull    prometheus.Counter
	PoolFull      prometheus.Counter
	Writes        Counters[Write] // to the directory
	FloorAge      prometheus.Histogram
	Reads         Counters[Read] // of mailboxes
	NATSErrors    Counters[Op]
	NATSEvents    Counters[NATSEvent]
	Connected     prometheus.Gauge
	BulkConnected prometheus.Gauge
	StoreBytes    Gauges[StorePart]
	StoreLimit    Gauges[StorePart]
	StoreReach    Gauges[StorePart]
	StoreAge      Gauges[StorePart]
}

// registry makes instruments and registers them.
type registry struct{ *prometheus.Registry }

func (r registry) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	r.MustRegister(c)
	return c
}

func (r registry) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	r.MustRegister(c)
	return c
}

// counters makes a counter whose label has n values.
func counters[L Label](r registry, name, help, label string, n L) Counters[L] {
	return resolve[L](r.counterVec(name, help, label), int(n))
}

func (r registry) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	r.MustRegister(g)
	return g
}

func (r registry) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	r.MustRegister(g)
	return g
}

// gauges makes a gauge whose label has n values.
func gauges[L Label](r registry, name, help, label string, n L) Gauges[L] {
	return Gauges[L]{gaugeOfEach(r, name, help, label, n)}
}

func gaugeOfEach[L Label](r registry, name, help, label string, n L) []prometheus.Gauge {
	vec := r.gaugeVec(name, help, label)
	all := make([]prometheus.Gauge, n)
	for i := range all {
		all[i] = vec.WithLabelValues(L(i).String())
	}
	return all
}

// flags makes a gauge of 1 and 0 whose label has n values.
func flags[L Label](r registry, name, help, label string, n L) Flags[L] {
	return Flags[L]{gaugeOfEach(r, name, help, label, n)}
}

func (r registry) histogram(name, help string) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help,
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)})
	r.MustRegister(h)
	return h
}

// namespace begins the name of every metric.
const namespace = "hydrant"

// New makes the instruments, and registers them with those of Go and of the
// process.
func New() *Metrics {
	r := registry{prometheus.NewRegistry()}
	m := &Metrics{Registry: r.Registry}
	m.sessions(r)
	m.clients(r)
	m.nats(r)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) sessions(r registry) {
	m.Sessions.held = r.gaugeVec("sessions", "Sessions held by this node, by state.", "state")
	m.Sessions.changes = r.counterVec("session_transitions_total", "State changes of sessions.", "from", "to")
	m.Machine = counters(r, "session_machine_total", "What sessions met that is worth counting, by event.", "event", session.NumEvents)
	m.Lifecycle = counters(r, "session_events_total", "Sessions opened, parked, resumed, released, doubted (another node's marker was seen), lost, expired.", "what", numLifecycles)
	m.Resumes = counters(r, "resumes_total", "Resume requests, by result.", "result", protocol.Outcome(protocol.NumOutcomes))
	m.Returned = counters(r, "resume_messages_total", "Messages that sessions were given after a resume until they had everything, by where they came from.", "source", numSources)
	m.TailsEnded = counters(r, "tails_ended_total", "Parked sessions for which nothing more is kept, by reason.", "reason", numTailEnds)
	m.TailParts = r.counter("tail_parts_total", "Parts of tails that were handed to nodes which resume sessions.")
	m.Passes = counters(r, "passes_total", "Readings of mailboxes for many sessions together, by how they ended.", "end", numPassEnds)
	m.TailMisses = r.counter("tail_misses_total", "Questions for a tail that brought none: the store is read.")
	m.Gaps = counters(r, "gaps_total", "Gaps in mailboxes, by cause.", "why", session.Rollback+1)
	m.Spoiled = r.counter("spoiled_entries_total", "Entries of sessions that no node can have written: their sessions are lost.")
	m.Junk = r.counter("mailbox_junk_total", "Mailbox entries that are no UMF message or too large for a frame.")
}

func (m *Metrics) clients(r registry) {
	m.Errors = counters(r, "client_errors_total", "Errors reported to clients, by code.", "code", protocol.Code(protocol.NumCodes))
	m.Closes = counters(r, "close_frames_total", "Connections that the node itself closed, by close code.", "code", protocol.Close(protocol.NumCloses))
	m.Dropped = counters(r, "dropped_total", "What was dropped or refused, by a bound or a rule, by reason.", "reason", numDrops)
	m.Denied = sampled(counters(r, "denied_total", "What the rules for clients did not allow, by kind.", "kind", policy.Denial(policy.NumDenials)))
	m.WrongTokens = sampled(counters(r, "wrong_admin_tokens_total", "Wrong tokens of administrators, by the way that they came.", "way", numTokenWays))
	m.Requests = counters(r, "requests_total", "[METHOD] requests, by result.", "result", numRequests)
	m.RequestTime = r.histogram("request_seconds", "Time from a [METHOD] request to its answer.")
	m.UnderWay = r.gauge("http_requests", "Requests by path that wait for a service.")
	m.Bodies = r.gauge("http_bodies_waiting", "Large bodies over HTTP that wait for their turn.")
	m.Retired = r.counter("retired_total", "Connections closed because of their age.")
	m.Shed = counters(r, "shed_total", "Clients refused or closed for lack of memory.", "what", numSheds)
	m.MemoryLimit = r.gauge("memory_limit_bytes", "Memory limit of the process; 0: none.")
	m.MemoryNeeded = r.gauge("memory_needed_bytes", "What of the memory limit is needed: all but garbage and free room. 0 without a limit.")
	m.Ready = r.gauge("ready", "1 while the node is ready for clients.")
	m.Warnings = r.gauge("store_warnings", "What is wrong with the store or with nodes beside it and keeps the node from nothing; /readyz of the administrators' listener says what.")
	m.Waiting = flags(r, "waiting", "1 for each part that keeps the node from being ready.", "part", numParts)
}

func (m *Metrics) nats(r registry) {
	m.OutboxFull = r.counter("outbox_full_total", "Messages refused because the queue to NATS was at its bound.")
	m.PoolFull = r.counter("pool_full_total", "Blocking NATS calls refused because the queue was at its bound.")
	m.Writes = counters(r, "directory_writes_total", "Directory writes, by result.", "result", numWrites)
	m.FloorAge = r.histogram("checkpoint_age_seconds", "Age of a moved floor when its checkpoint was stored.")
	m.Reads = counters(r, "mailbox_reads_total", "Batches read from mailboxes, by result.", "result", numReads)
	m.NATSErrors = counters(r, "nats_errors_total", "Operations on NATS and JetStream that failed, by operation.", "op", numOps)
	m.NATSEvents = counters(r, "nats_events_total", "Connection and stream events of NATS.", "event", numNATSEvents)
	m.Connected = r.gauge("nats_connected", "1 while the connection to NATS is up.")
	m.BulkConnected = r.gauge("nats_bulk_connected", "1 while the connection to NATS for large bodies over HTTP is up; it is made with the first of them.")
	m.StoreBytes = gauges(r, "store_bytes", "Bytes of what is stored, of one copy, by part.", "part", numStoreParts)
	m.StoreLimit = gauges(r, "store_limit_bytes", "Bound of hydrant_store_bytes; 0: none.", "part", numStoreParts)
	m.StoreReach = gauges(r, "store_reach_seconds", "How far back a part has all that was stored; less than hydrant_store_age_seconds: it is full.", "part", numStoreParts)
	m.StoreAge = gauges(r, "store_age_seconds", "How long a part is to keep what is stored.", "part", numStoreParts)
}

// Sums adds up the counters of each name over their labels.
func (m *Metrics) Sums() (map[string]float64, error) {
	families, err := m.Registry.Gather()
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
