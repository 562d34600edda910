package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "client":
		err = client()
	default:
		err = bench()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wire:", err)
		os.Exit(1)
	}
}

// contestant is a server to measure.
type contestant struct {
	name string
	args []string // of the server's process
	raw  bool

	echo, push1, push8, upgrade, idle, gc []float64 // one figure a round
	p50, p99                              []float64
}

type settings struct {
	conns, size, idle, rounds, rate int
	seconds                         time.Duration
}

func bench() error {
	var s settings
	var only, wireecho string
	flag.StringVar(&only, "only", "", "contestants, comma-separated; default: all")
	flag.StringVar(&wireecho, "wireecho", "", "wireecho program; default: built from this repository")
	flag.IntVar(&s.conns, "conns", 1000, "active connections")
	flag.IntVar(&s.size, "size", 128, "bytes of a message")
	flag.IntVar(&s.rate, "rate", 20000, "pushes a second, each of 1 or of 8 messages")
	flag.IntVar(&s.idle, "idle", 19000, "idle connections; 0: skip")
	flag.IntVar(&s.rounds, "rounds", 3, "rounds; the median counts")
	flag.DurationVar(&s.seconds, "time", 3*time.Second, "time of one echo measurement")
	flag.Parse()

	if wireecho == "" {
		dir, err := os.MkdirTemp("", "wirebench")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		wireecho = filepath.Join(dir, "wireecho")
		build := exec.Command("go", "build", "-o", wireecho, "./edge/internal/wire/wireecho")
		build.Dir, build.Stderr = "../../..", os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building wireecho: %w", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	all := []*contestant{
		{name: "raw", args: []string{self, "serve", "raw"}, raw: true},
		{name: "wire-epoll", args: []string{wireecho, "-push", "-transport", "epoll"}},
		{name: "wire-conn", args: []string{wireecho, "-push", "-transport", "conn"}},
		{name: "gws", args: []string{self, "serve", "gws"}},
		{name: "gobwas", args: []string{self, "serve", "gobwas"}},
		{name: "gorilla", args: []string{self, "serve", "gorilla"}},
		{name: "coder", args: []string{self, "serve", "coder"}},
	}
	if only != "" {
		names := strings.Split(only, ",")
		all = slices.DeleteFunc(all, func(c *contestant) bool { return !slices.Contains(names, c.name) })
	}
	for round := range s.rounds {
		for _, c := range all {
			fmt.Fprintf(os.Stderr, "round %d: %s\n", round+1, c.name)
			if err := c.measure(&s); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	print(all)
	return nil
}

func (c *contestant) server() (*process, string, error) {
	p, err := start(c.args[0], c.args[1:]...)
	if err != nil {
		return nil, "", err
	}
	addr, err := p.line()
	return p, addr, err
}

// measure does everything once.
func (c *contestant) measure(s *settings) error {
	if err := c.active(s); err != nil {
		return err
	}
	if s.idle > 0 && !c.raw {
		return c.idling(s)
	}
	return nil
}

// active measures echo and push, in µs of the server's CPU a message.
func (c *contestant) active(s *settings) error {
	srv, addr, err := c.server()
	if err != nil {
		return err
	}
	defer srv.stop()
	j := job{Addr: addr, Raw: c.raw, Conns: s.conns, Size: s.size, Seconds: s.seconds, Work: "echo"}
	warm := j
	warm.Seconds = s.seconds / 4
	if _, _, err := do(srv, warm); err != nil {
		return err
	}
	each, r, err := do(srv, j)
	if err != nil {
		return err
	}
	c.echo = append(c.echo, each)
	c.p50 = append(c.p50, float64(r.P50)/1e3)
	c.p99 = append(c.p99, float64(r.P99)/1e3)
	if c.raw {
		return nil
	}
	for _, p := range []struct {
		burst int
		to    *[]float64
	}{{1, &c.push1}, {8, &c.push8}} {
		j := j
		j.Work, j.Burst, j.Count, j.Rate = "push", p.burst, 60*p.burst, s.rate
		each, _, err := do(srv, j)
		if err != nil {
			return err
		}
		*p.to = append(*p.to, each)
	}
	return nil
}

// do runs one job against a server, and returns its CPU in µs a message.
func do(srv *process, j job) (float64, result, error) {
	cl, err := load(j)
	if err != nil {
		return 0, result{}, err
	}
	defer cl.stop()
	before, err := srv.cpu()
	if err != nil {
		return 0, result{}, err
	}
	r, err := cl.work()
	if err != nil {
		return 0, result{}, err
	}
	after, err := srv.cpu()
	return float64(after-before) / 1e3 / float64(r.Messages), r, err
}

// idling measures what a quiet connection costs: the CPU of its upgrade, its
// memory, and its share of a garbage collection.
func (c *contestant) idling(s *settings) error {
	srv, addr, err := c.server()
	if err != nil {
		return err
	}
	defer srv.stop()
	j := job{Addr: addr, Raw: c.raw, Conns: 200, Work: "idle"}
	warm, err := load(j)
	if err != nil {
		return err
	}
	warm.stop()
	empty, err := srv.settledRSS()
	if err != nil {
		return err
	}
	before, err := srv.cpu()
	if err != nil {
		return err
	}
	j.Conns = s.idle
	cl, err := load(j)
	if err != nil {
		return err
	}
	defer cl.stop()
	after, err := srv.cpu()
	if err != nil {
		return err
	}
	c.upgrade = append(c.upgrade, float64(after-before)/1e3/float64(s.idle))
	full, err := srv.settledRSS()
	if err != nil {
		return err
	}
	c.idle = append(c.idle, float64(full-empty)/1024/float64(s.idle))
	const cycles = 10
	if before, err = srv.cpu(); err != nil {
		return err
	}
	for range cycles {
		if err := srv.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
	if after, err = srv.cpu(); err != nil {
		return err
	}
	c.gc = append(c.gc, float64(after-before)/1e6/cycles)
	return nil
}
