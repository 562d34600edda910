package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is the figures of one measurement.
type row struct {
	name  string
	count int // messages, connects or sessions
	usage
	delays []time.Duration // ascending

	sources                    string // where messages came from
	lost, repeated, disordered int
	unordered                  bool // disorder is no fault

	// Bytes for one idle session; 0: not measured.
	memory, natsMemory float64 // as it stands
	settled, heap      float64 // of the node, after collections: what it holds, and what is in use
}

// add takes a stream's ledger over.
func (r *row) add(s *stream, unordered bool) {
	r.lost += int(s.sent.Load() - s.ledger.received)
	r.repeated += s.ledger.repeated
	r.disordered += s.ledger.disordered
	r.unordered = unordered
	r.delays = append(r.delays, s.ledger.delays...)
}

func (r *row) percentile(p int) time.Duration {
	if len(r.delays) == 0 {
		return 0
	}
	return r.delays[min(len(r.delays)-1, len(r.delays)*p/100)]
}

// each is a time divided by the messages, in µs.
func (r *row) each(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1000 / float64(max(1, r.count))
}

func (r *row) node() float64 {
	var sum time.Duration
	for _, used := range r.nodes {
		sum += used
	}
	return r.each(sum)
}

func (r *row) rate() float64 { return float64(r.count) / max(r.elapsed.Seconds(), 1e-9) }

// goal is what the design asks of a measurement.
type goal struct {
	text    string
	limit   float64
	measure func(r *row) float64
}

var goals = map[string]goal{
	"service, 2,000/s": {"node ≤ 97 µs", 97, (*row).node},
	"connect":          {"node ≤ 100 µs", 100, (*row).node},
	"push, 20,000/s":   {"node ≤ 21 µs", 21, (*row).node},
	"resume 1000 × 100": {"total ≤ 735 ms", 0.735,
		func(r *row) float64 { return r.elapsed.Seconds() }},
	"idle, 5000":  {"node ≤ 2 KiB", 2048, func(r *row) float64 { return r.memory }},
	"idle, 15000": {"node ≤ 2 KiB", 2048, func(r *row) float64 { return r.memory }},
}

// references are what the original spends on the same; shown where there is
// no goal.
var references = map[string]string{
	"ping-pong, full speed":    "Hydra 40–47 µs",
	"service, full speed":      "Hydra 58–86 µs",
	"client-client, one node":  "Hydra 40–43 µs",
	"client-client, two nodes": "Hydra 53 + 50 µs",
}

// report collects rows, of several rounds.
type report struct {
	names  []string // in the order measured
	rows   map[string][]*row
	checks []check

	ratios map[string][]float64 // of the rounds
	limits map[string]float64   // of the ratios

	prices []byte // prices.json of package sizing; nil: not measured
}

func newReport() *report {
	return &report{rows: make(map[string][]*row), ratios: make(map[string][]float64), limits: make(map[string]float64)}
}

// ratio adds one figure of a round to the report, whose median is to be at most so much;
// 0: whatever it is.
func (p *report) ratio(name string, value, most float64) {
	p.ratios[name] = append(p.ratios[name], value)
	p.limits[name] = most
}

// printRatios writes the medians of the ratios.
func (p *report) printRatios(out io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(p.ratios)) {
		values := slices.Sorted(slices.Values(p.ratios[name]))
		most := ""
		if limit := p.limits[name]; limit > 0 {
			most = fmt.Sprintf("at most %g; ", limit)
		}
		fmt.Fprintf(out, "%s: %.2f (%s%d rounds: %.2f)\n", name, values[len(values)/2], most, len(values), values)
	}
}

// note adds a row to the report, unless it could not be measured.
func (b *bench) note(r *row, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	b.report.note(r)
	return nil
}

func (p *report) note(r *row) {
	if p.rows[r.name] == nil {
		p.names = append(p.names, r.name)
	}
	p.rows[r.name] = append(p.rows[r.name], r)
}

// faults are the measurements in which messages were lost, repeated or out of
// order although nothing was killed.
func (p *report) faults() []error {
	var errs []error
	for _, name := range p.names {
		for _, r := range p.rows[name] {
			if strings.HasPrefix(name, centrifugoPrefix) {
				continue // promises nothing of the kind
			}
			if r.lost != 0 || r.repeated != 0 || r.disordered != 0 && !r.unordered {
				errs = append(errs, fmt.Errorf("%s: %w: %d lost, %d repeated, %d out of order", name, errPromise, r.lost, r.repeated, r.disordered))
			}
		}
	}
	return errs
}

var errPromise = errors.New("a promise is broken")

// median returns the median of a figure over the rounds.
func median[T cmp.Ordered](rows []*row, of func(*row) T) T {
	values := make([]T, len(rows))
	for i, r := range rows {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// total adds a count up over the rounds.
func total(rows []*row, of func(*row) int) int {
	sum := 0
	for _, r := range rows {
		sum += of(r)
	}
	return sum
}

// print writes the table: processor time and memory are for one message,
// connect or session.
func (p *report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MEASUREMENT\tNODE\tBROKER\tSERVICE\tCLIENTS\tRATE\tP50\tP99\tTOTAL\tLOST/REPEATED/DISORDERED\tGOAL")
	for _, name := range p.names {
		rows := p.rows[name]
		if rows[0].memory != 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\t\t\t\t\t\t\tcollected %s, in use %s\t%s\n", name,
				bytesText(median(rows, func(r *row) float64 { return r.memory })), bytesText(median(rows, func(r *row) float64 { return r.natsMemory })),
				bytesText(median(rows, func(r *row) float64 { return r.settled })), bytesText(median(rows, func(r *row) float64 { return r.heap })), p.verdict(name))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f µs\t%s\t%.1f µs\t%.0f/s\t%s\t%s\t%s\t%d/%d/%d\t%s\n", name, nodeText(rows),
			median(rows, func(r *row) float64 { return r.each(r.nats) }), serviceText(rows),
			median(rows, func(r *row) float64 { return r.each(r.clients) }),
			median(rows, (*row).rate), percentileText(rows, 50), percentileText(rows, 99),
			median(rows, func(r *row) time.Duration { return r.elapsed }).Round(time.Millisecond),
			total(rows, func(r *row) int { return r.lost }), total(rows, func(r *row) int { return r.repeated }),
			total(rows, func(r *row) int { return r.disordered }), rows[len(rows)-1].sources+p.verdict(name))
	}
	_ = w.Flush() // as with any report on standard output
}

func nodeText(rows []*row) string {
	var parts []string
	for i := range rows[0].nodes {
		parts = append(parts, fmt.Sprintf("%.1f", median(rows, func(r *row) float64 { return r.each(r.nodes[i]) })))
	}
	if parts == nil {
		return ""
	}
	return strings.Join(parts, " + ") + " µs"
}

func serviceText(rows []*row) string {
	if each := median(rows, func(r *row) float64 { return r.each(r.service) }); each > 0 {
		return fmt.Sprintf("%.1f µs", each)
	}
	return ""
}

func percentileText(rows []*row, p int) string {
	d := median(rows, func(r *row) time.Duration { return r.percentile(p) })
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

func bytesText(n float64) string { return fmt.Sprintf("%.2f KiB", n/1024) }

// verdict sets the goal beside the figure, and what Centrifugo took if it was
// measured in the same run.
func (p *report) verdict(name string) string {
	g, ok := goals[name]
	if !ok {
		g.text, g.measure = references[name], (*row).node
	} else if median(p.rows[name], g.measure) <= g.limit {
		g.text += ": reached"
	} else {
		g.text += ": missed"
	}
	peer := p.rows[centrifugoPrefix+name]
	if peer == nil {
		return g.text
	}
	ratio := fmt.Sprintf("%.2f of Centrifugo's", median(p.rows[name], g.measure)/median(peer, g.measure))
	return strings.Join(slices.DeleteFunc([]string{g.text, ratio}, func(part string) bool { return part == "" }), "; ")
}
