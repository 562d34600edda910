package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"hydrant/integration/harness"
)

func init() { groups = append(groups, group{"variants", variants, true}) }

// variants: VARIANTS="base;a:X=1,Y=2;…", TURNS=6
func variants(ctx context.Context, b *bench) error {
	type variant struct {
		name             string
		node             *harness.Node
		delays           []time.Duration
		rate             []float64
		cpu, nats, others, web float64
		ratio            []float64
	}
	var all []*variant
	for _, text := range strings.Split(os.Getenv("VARIANTS"), ";") {
		name, vars, _ := strings.Cut(text, ":")
		env := b.env
		b.env = append(slices.Clone(env), list(vars)...)
		node, err := b.node(ctx, name)
		b.env = env
		if err != nil {
			return err
		}
		all = append(all, &variant{name: name, node: node})
	}
	if err := errors.Join(b.service(ctx), b.startWeb(ctx, all[0].node, behind)); err != nil {
		return err
	}
	for _, v := range all {
		if err := harness.Until(ctx, func() error { _, err := harness.Get("http://" + v.node.Addr + webPath); return err }); err != nil {
			return err
		}
	}
	turns := 4
	fmt.Sscan(os.Getenv("TURNS"), &turns)
	turn := *b
	var quiets []time.Duration
	pct := func(d []time.Duration, p float64) float64 {
		if len(d) == 0 {
			return 0
		}
		return float64(d[min(len(d)-1, int(float64(len(d))*p/100))]) / 1e6
	}
	show := func(name string, d []time.Duration) string {
		slices.Sort(d)
		return fmt.Sprintf("%-12s p50 %.2f p90 %.2f p95 %.2f p99 %.2f p99.9 %.2f", name, pct(d, 50), pct(d, 90), pct(d, 95), pct(d, 99), pct(d, 99.9))
	}
	for i := range turns {
		quiet, err := turn.beside(ctx, all[0].node, "quiet")
		if err != nil {
			return err
		}
		quiets = append(quiets, quiet.delays...)
		fmt.Fprintln(os.Stderr, show("quiet", slices.Clone(quiet.delays)))
		for j := range all {
			v := all[(i+j)%len(all)]
			traced := make(chan error, 1)
			if dir := os.Getenv("PERFDIR"); dir != "" {
				go func() {
					time.Sleep(2 * time.Second)
					traced <- exec.Command("bash", "/tmp/bodies-perf1.sh", fmt.Sprintf("%s/%s.%d", dir, v.name, i), fmt.Sprint(turn.duration.Seconds()-1.5), fmt.Sprint(v.node.PID()), fmt.Sprint(b.broker[0].PID()), fmt.Sprint(b.echo.PID()), fmt.Sprint(b.web.PID()), fmt.Sprint(os.Getpid())).Run()
				}()
			} else {
				traced <- nil
			}
			m1, m2 := v.node.Log.Mark(), b.broker[0].Log.Mark()
			l, err := turn.besideBodies(ctx, v.node)
			gcs(v.name, v.node.Log.Since(m1))
			gcs(v.name+" NATS", b.broker[0].Log.Since(m2))
			err = errors.Join(err, <-traced)
			if err != nil {
				return err
			}
			v.delays = append(v.delays, l.delays...)
			v.rate = append(v.rate, l.rate)
			v.cpu += l.nodes[0].Seconds() / l.elapsed.Seconds() / float64(turns)
			v.nats += l.nats.Seconds() / l.elapsed.Seconds() / float64(turns)
			v.others += l.others / float64(turns)
			v.ratio = append(v.ratio, float64(l.percentile(99))/float64(quiet.percentile(99)))
			fmt.Fprintln(os.Stderr, show(v.name, slices.Clone(l.delays)))
		}
	}
	fmt.Fprintln(os.Stderr, "ALL", show("quiet", quiets))
	for _, v := range all {
		slices.Sort(v.rate)
		slices.Sort(v.ratio)
		fmt.Fprintf(os.Stderr, "ALL %s  bodies/s %.0f node %.2f nats %.2f others %.2f ratio %.2f %.2f\n", show(v.name, v.delays), v.rate[len(v.rate)/2], v.cpu, v.nats, v.others, v.ratio[len(v.ratio)/2], v.ratio)
	}
	return nil
}

func gcs(name string, log []byte) {
	var n int
	var wall, cpu, stw float64
	var last string
	for line := range strings.Lines(string(log)) {
		if !strings.HasPrefix(line, "gc ") {
			continue
		}
		n++
		last = line
		// gc 1 @0.009s 4%: 0.018+1.0+0.028 ms clock, 0.036+0.1/0.2/0.3+0.05 ms cpu, 4->4->1 MB
		parts := strings.Split(line, ": ")
		var a, bb, c float64
		if _, err := fmt.Sscanf(parts[1], "%f+%f+%f ms clock", &a, &bb, &c); err == nil {
			wall += a + bb + c
			stw += a + c
		}
		_, after, _ := strings.Cut(line, "ms clock, ")
		var d, e, g, h, k float64
		if _, err := fmt.Sscanf(after, "%f+%f/%f/%f+%f ms cpu", &d, &e, &g, &h, &k); err == nil {
			cpu += d + e + g + h + k
		}
	}
	if n > 0 {
		fmt.Fprintf(os.Stderr, "GC %s: %d, wall %.2f ms each, stw %.2f, cpu %.2f; %s", name, n, wall/float64(n), stw/float64(n), cpu/float64(n), last)
	}
}
