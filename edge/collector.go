package edge

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hydrant/edge/internal/wire"
)

// collector gives Prometheus what is counted elsewhere than in its own
// instruments, because there it costs less: by the connection layer, by each
// loop, by the queues. It adds up when it is asked.
type collector struct {
	node *Node
	list []collected
}

// collected is one metric and how its value is found.
type collected struct {
	desc *prometheus.Desc
	emit func(desc *prometheus.Desc, s *snapshot, ch chan<- prometheus.Metric)
}

// snapshot is what one scrape looks at.
type snapshot struct {
	node    *Node
	wire    wire.Stats
	workers []*worker // none before the node serves
	unasked uint64    // of the store
	cut     uint64    // of discovery
}

// sum adds up a number of each loop.
func (s *snapshot) sum(of func(*worker) int64) float64 {
	var total int64
	for _, w := range s.workers {
		total += of(w)
	}
	return float64(total)
}

func (c *collector) add(name, help string, labels []string, emit func(*prometheus.Desc, *snapshot, chan<- prometheus.Metric)) {
	c.list = append(c.list, collected{prometheus.NewDesc("hydrant_"+name, help, labels, nil), emit})
}

func (c *collector) number(kind prometheus.ValueType, name, help string, of func(*snapshot) float64) {
	c.add(name, help, nil, func(d *prometheus.Desc, s *snapshot, ch chan<- prometheus.Metric) {
		ch <- prometheus.MustNewConstMetric(d, kind, of(s))
	})
}

func (c *collector) counter(name, help string, of func(*snapshot) float64) {
	c.number(prometheus.CounterValue, name, help, of)
}

func (c *collector) gauge(name, help string, of func(*snapshot) float64) {
	c.number(prometheus.GaugeValue, name, help, of)
}

// counters is a counter with one label, whose values are the numbers below n.
func (c *collector) counters(name, help, label string, n int, text func(int) string, of func(*snapshot, int) float64) {
	c.add(name, help, []string{label}, func(d *prometheus.Desc, s *snapshot, ch chan<- prometheus.Metric) {
		for i := range n {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, of(s, i), text(i))
		}
	})
}

func (c *collector) histogram(name, help string, of func(*worker) *durations) {
	c.add(name, help, nil, func(d *prometheus.Desc, s *snapshot, ch chan<- prometheus.Metric) {
		buckets := make(map[float64]uint64, len(durationBounds))
		var total uint64
		for i := range len(durationBounds) + 1 {
			for _, w := range s.workers {
				total += of(w).buckets[i].Load()
			}
			if i < len(durationBounds) {
				buckets[durationBounds[i].Seconds()] = total
			}
		}
		sum := s.sum(func(w *worker) int64 { return of(w).sum.Load() })
		ch <- prometheus.MustNewConstHistogram(d, total, sum/float64(time.Second), buckets)
	})
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.list {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := &snapshot{node: c.node}
	if c.node.serving.Load() {
		s.workers, s.wire = c.node.workers, c.node.server.Stats()
		s.unasked, s.cut = c.node.store.Unasked(), c.node.discovery.Cut()
	}
	for _, m := range c.list {
		m.emit(m.desc, s, ch)
	}
}

// newCollector lists what is counted elsewhere.
func newCollector(n *Node) *collector {
	c := &collector{node: n}
	c.connections()
	c.messages()
	c.queues()
	return c
}

func (c *collector) connections() {
	c.counter("accepts_total", "Sockets accepted, of whatever they turned out to be.",
		func(s *snapshot) float64 { return float64(s.wire.Accepted) })
	c.counter("connects_total", "WebSocket connections opened.",
		func(s *snapshot) float64 { return float64(s.wire.Upgrades) })
	c.counters("closes_total", "Connections ended, and those refused before they were any, by reason.", "reason",
		wire.NumDrops, func(i int) string { return wire.Drop(i).String() },
		func(s *snapshot, i int) float64 { return float64(s.wire.Drops[i]) })
	c.gauge("connections", "WebSocket connections open.", func(s *snapshot) float64 { return float64(s.wire.Upgraded) })
	c.gauge("sockets", "Sockets open, whatever their state.", func(s *snapshot) float64 { return float64(s.wire.Connections) })
	c.gauge("plain_connections", "Connections of plain HTTP open on the clients' port.",
		func(s *snapshot) float64 { return float64(s.wire.Plain) })
	c.gauge("socket_buffer_bytes", "Bytes of partial messages and of output that sockets have not taken, in buffers from 4 KiB on.",
		func(s *snapshot) float64 { return float64(s.wire.Buffered) })
	c.counter("socket_reads_total", "Reads from sockets.", func(s *snapshot) float64 { return float64(s.wire.Reads) })
	c.counter("socket_writes_total", "Writes to sockets.", func(s *snapshot) float64 { return float64(s.wire.Writes) })
	c.counter("socket_read_bytes_total", "Bytes read from sockets, frames' headers included.",
		func(s *snapshot) float64 { return float64(s.wire.BytesIn) })
	c.counter("socket_written_bytes_total", "Bytes written to sockets, frames' headers included.",
		func(s *snapshot) float64 { return float64(s.wire.BytesOut) })
	c.counter("stalls_total", "Times a loop did not run for longer than the stall limit.",
		func(s *snapshot) float64 { return float64(s.wire.Stalls) })
	c.histogram("loop_lag_seconds", "How late a loop's timer runs; timers have a resolution of 8.4 ms.",
		func(w *worker) *durations { return &w.tally.lag })
}

func (c *collector) messages() {
	in := func(of func(*volume) uint64) func(*snapshot, int) float64 {
		return func(s *snapshot, i int) float64 {
			return s.sum(func(w *worker) int64 { return int64(of(&w.tally.in[i])) })
		}
	}
	out := func(of func(*volume) uint64) func(*snapshot, int) float64 {
		return func(s *snapshot, i int) float64 {
			return s.sum(func(w *worker) int64 { return int64(of(&w.tally.out[i])) })
		}
	}
	messages := func(v *volume) uint64 { return v.messages.Load() }
	bytes := func(v *volume) uint64 { return v.bytes.Load() }
	received := func(i int) string { return received(i).String() }
	sent := func(i int) string { return sent(i).String() }
	c.counters("messages_received_total", "Messages from clients, by kind.", "kind", int(numReceived), received, in(messages))
	c.counters("received_bytes_total", "Payload bytes from clients, by kind of message.", "kind", int(numReceived), received, in(bytes))
	c.counters("messages_sent_total", "Messages to clients, by kind.", "kind", int(numSent), sent, out(messages))
	c.counters("sent_bytes_total", "Payload bytes to clients, by kind of message.", "kind", int(numSent), sent, out(bytes))
	c.histogram("frame_to_nats_seconds", "Time from a client's frame until its message was handed to the NATS connection.",
		func(w *worker) *durations { return &w.tally.published })
	c.histogram("store_to_socket_seconds", "Time from storing a live message until it was queued for its socket, by the store's clock.",
		func(w *worker) *durations { return &w.tally.stored })
	c.gauge("window_messages", "Messages that clients of umf.ack.v1 have not confirmed.",
		func(s *snapshot) float64 { return s.sum(func(w *worker) int64 { return w.tally.unacked.Load() }) })
	c.gauge("window_full_sessions", "Sessions that wait for their client, which has a whole window to confirm.",
		func(s *snapshot) float64 { return s.sum(func(w *worker) int64 { return w.tally.windowed.Load() }) })
}

func (c *collector) queues() {
	c.gauge("loop_inbox", "Entries that wait for the loops.", func(s *snapshot) float64 { return float64(s.wire.Waiting) })
	c.counter("loop_inbox_full_total", "Times an entry for a loop had to wait, or was refused, because the inbox was at its bound.",
		func(s *snapshot) float64 { return float64(s.wire.InboxFull) })
	c.gauge("outbox_operations", "NATS operations queued by the loops, and messages that wait for a look-up.",
		func(s *snapshot) float64 { return s.sum(func(w *worker) int64 { return w.out.ops.Load() }) })
	c.gauge("outbox_bytes", "Bytes of what hydrant_outbox_operations counts.",
		func(s *snapshot) float64 { return s.sum(func(w *worker) int64 { return w.out.bytes.Load() }) })
	c.gauge("outbox_unacknowledged", "Publishes to mailboxes and work queues that the store has not acknowledged.",
		func(s *snapshot) float64 { return s.sum(func(w *worker) int64 { return w.out.flying.Load() }) })
	c.counter("held_back_total", "Times a client was not read from for a while, because the queue to NATS was half full or it had asked for much.",
		func(s *snapshot) float64 {
			return s.sum(func(w *worker) int64 { return int64(w.tally.heldBack.Load()) })
		})
	c.counter("reader_inbox_full_total", "Messages of mailboxes and the directory that were dropped because a read had not asked for so many.",
		func(s *snapshot) float64 { return float64(s.unasked) })
	c.counter("discovery_full_total", "Lists of services and nodes that lack some, because there were too many answers.",
		func(s *snapshot) float64 { return float64(s.cut) })
	c.gauge("pool_queue", "Blocking NATS calls waiting for a worker.",
		func(s *snapshot) float64 { return float64(len(s.node.pool.jobs)) })
	c.gauge("pool_busy", "Workers of the pool that are in a blocking NATS call.",
		func(s *snapshot) float64 { return float64(s.node.pool.busy.Load()) })
	c.gauge("checkpoint_lag_seconds", "Age of the oldest moved floor that is not yet written.", func(s *snapshot) float64 {
		oldest := 0.0
		for _, w := range s.workers {
			if at := w.tally.dirtyFrom.Load(); at != 0 {
				oldest = max(oldest, time.Since(time.Unix(0, at)).Seconds())
			}
		}
		return oldest
	})
}
