package stats

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hydrant/edge/internal/wire"
)

// Sample is what a node has to be added up at one scrape. Before it serves there
// are no loops, and all numbers are zero but those of the pool.
type Sample struct {
	Loops   []Loop
	Wire    wire.Stats
	Unasked uint64 // messages that came to the store without having been asked for
	Cut     uint64 // lists of discovery that lack some
	Probes  uint64 // writes by which answers of the directory are proved
	Again   uint64 // answers that proved nothing
	Queues  int    // services that have registered a work queue, as far as is known
	Looks   uint64 // readings of that list
	Waiting int    // calls that wait for a worker of the pool
	Busy    int64  // workers of the pool in a call
	KeysAge time.Duration

	PassBytes int   // of what was read for many sessions together
	Tails     int   // parked sessions for which copies are kept
	TailBytes int64 // what they take
}

// Loop is what one loop has to be added up.
type Loop struct {
	Tally *Tally

	// Its queue to NATS.
	Ops    int64 // operations in it
	Bytes  int64 // of these
	Flying int64 // publishes that the store has not acknowledged
}

// sum adds up a number of each loop.
func (s *Sample) sum(of func(*Loop) int64) float64 {
	var total int64
	for i := range s.Loops {
		total += of(&s.Loops[i])
	}
	return float64(total)
}

// collector gives Prometheus what is counted elsewhere than in its own
// instruments, because there it costs less: by the connection layer, by each
// loop, by the queues. It adds up when it is asked.
type collector struct {
	sample func() Sample
	list   []collected
}

// collected is one metric and how its value is found.
type collected struct {
	desc *prometheus.Desc
	emit func(desc *prometheus.Desc, s *Sample, ch chan<- prometheus.Metric)
}

// NewCollector returns a collector of what sample returns, which any goroutine
// may call.
func NewCollector(sample func() Sample) prometheus.Collector {
	c := &collector{sample: sample}
	c.connections()
	c.messages()
	c.queues()
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.list {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.sample()
	for _, m := range c.list {
		m.emit(m.desc, &s, ch)
	}
}

func (c *collector) add(name, help string, labels []string, emit func(*prometheus.Desc, *Sample, chan<- prometheus.Metric)) {
	c.list = append(c.list, collected{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), emit})
}

func (c *collector) number(kind prometheus.ValueType, name, help string, of func(*Sample) float64) {
	c.add(name, help, nil, func(d *prometheus.Desc, s *Sample, ch chan<- prometheus.Metric) {
		ch <- prometheus.MustNewConstMetric(d, kind, of(s))
	})
}

func (c *collector) counter(name, help string, of func(*Sample) float64) {
	c.number(prometheus.CounterValue, name, help, of)
}

func (c *collector) gauge(name, help string, of func(*Sample) float64) {
	c.number(prometheus.GaugeValue, name, help, of)
}

// labelled adds a counter with one label, which has n values.
func labelled[L Label](c *collector, name, help, label string, n L, of func(*Sample, L) float64) {
	c.add(name, help, []string{label}, func(d *prometheus.Desc, s *Sample, ch chan<- prometheus.Metric) {
		for l := range n {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, of(s, l), l.String())
		}
	})
}

func (c *collector) histogram(name, help string, of func(*Tally) *Durations) {
	c.add(name, help, nil, func(d *prometheus.Desc, s *Sample, ch chan<- prometheus.Metric) {
		buckets := make(map[float64]uint64, len(durationBounds))
		var total uint64
		for i := range len(durationBounds) + 1 {
			for _, l := range s.Loops {
				total += of(l.Tally).buckets[i].Load()
			}
			if i < len(durationBounds) {
				buckets[durationBounds[i].Seconds()] = total
			}
		}
		sum := s.sum(func(l *Loop) int64 { return of(l.Tally).sum.Load() })
		ch <- prometheus.MustNewConstHistogram(d, total, sum/float64(time.Second), buckets)
	})
}
