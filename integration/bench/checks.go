package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"

	"hydrant/integration/harness"
)

// checksBenchmarks measure, one by one, what a node asks about a message before it
// goes on: whether its sender is who it says, whether its rules allow it, and whether it
// is within what its sender may send, at all and to one receiver.
const checksBenchmarks = "^(BenchmarkRules|BenchmarkSender|BenchmarkTake|BenchmarkMail)$"

// check is one of those benchmarks.
type check struct {
	name   string
	each   float64 // ns
	allocs int     // of one run
}

// checks sets what is asked about a message beside all that a node does with one.
func checks(ctx context.Context, b *bench) error {
	if err := service(ctx, b); err != nil {
		return err
	}
	root, err := harness.ModuleRoot()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", checksBenchmarks, "-benchtime", b.duration.String(), "./edge/internal/shard", "./edge/internal/quota")
	cmd.Dir = root
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	list := readChecks(text)
	if len(list) == 0 {
		return fmt.Errorf("no benchmark %s: %s", checksBenchmarks, text)
	}
	b.report.checks = append(b.report.checks, list...)
	if err := b.quotas(ctx); err != nil {
		return err
	}
	return rights(ctx, b)
}

// readChecks takes the figures out of what go test prints.
func readChecks(text []byte) []check {
	var list []check
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		c := check{name: strings.TrimPrefix(fields[0], "Benchmark"), each: -1, allocs: -1}
		for i := 1; i+1 < len(fields); i++ {
			switch fields[i+1] {
			case "ns/op":
				c.each, _ = strconv.ParseFloat(fields[i], 64)
			case "allocs/op":
				c.allocs, _ = strconv.Atoi(fields[i])
			}
		}
		if c.each >= 0 && c.allocs >= 0 {
			list = append(list, c)
		}
	}
	return list
}

// printChecks writes each check's share of a message's time on its node, at full
// speed, where a message costs the least.
func (p *report) printChecks(out io.Writer) {
	message := p.rows["service, full speed"]
	if len(p.checks) == 0 || len(message) == 0 {
		return
	}
	whole := median(message, (*row).node)
	fmt.Fprintf(out, "\nOf the %.1f µs that a message to a service and its answer take on the node:\n", whole)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CHECK\tTIME\tSHARE\tALLOCATIONS")
	for _, c := range p.checks {
		fmt.Fprintf(w, "%s\t%.1f ns\t%.2f %%\t%d\n", c.name, c.each, c.each/whole/10, c.allocs)
	}
	_ = w.Flush() // as with any report on standard output
}
