package main

import (
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
)

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// print writes the figures, and beside each its ratio to the floor's and to
// gws's. "empty" is what a collection costs the runtime without a connection.
func print(all []*contestant) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\techo µs\t/raw\t/gws\tp50 µs\tp99 µs\tpush µs\tpush×8 µs\t8/1\tupgrade µs\t/gws\tidle KB\tGC ms\tempty\t")
	find := func(name string) *contestant {
		for _, c := range all {
			if c.name == name {
				return c
			}
		}
		return &contestant{}
	}
	raw, gws := find("raw"), find("gws")
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%.2f\t%s\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%s\t%.1f\t%s\t%.2f\t%.2f\t%.2f\t\n", c.name,
			median(c.echo), ratio(c.echo, raw.echo), ratio(c.echo, gws.echo),
			median(c.p50), median(c.p99),
			median(c.push1), median(c.push8), ratio(c.push8, c.push1),
			median(c.upgrade), ratio(c.upgrade, gws.upgrade),
			median(c.idle), median(c.gc), median(c.gc0))
	}
	_ = w.Flush()
}

func ratio(a, b []float64) string {
	if median(b) == 0 || median(a) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", median(a)/median(b))
}
