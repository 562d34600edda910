package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
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
		if err = client(); errors.Is(err, io.EOF) {
			err = nil // whoever started it has gone
		}
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

	echo, push1, push8, upgrade, idle, gc, gc0 []float64 // one figure a round
	p50, p99                                   []float64
}

type settings struct {
	conns, size, idle, rounds, rate int
	seconds                         time.Duration
}

func bench() error {
	var s settings
	var only, wireecho string
	var abused bool
	flag.StringVar(&only, "only", "", "contestants, comma-separated; default: all")
	flag.StringVar(&wireecho, "wireecho", "", "wireecho program; default: built from this repository")
	flag.IntVar(&s.conns, "conns", 1000, "active connections; 0: skip")
	flag.IntVar(&s.size, "size", 128, "bytes of a message")
	flag.IntVar(&s.rate, "rate", 20000, "pushes a second, each of 1 or of 8 messages")
	flag.IntVar(&s.idle, "idle", 19000, "idle connections; 0: skip")
	flag.IntVar(&s.rounds, "rounds", 3, "rounds; the median counts")
	flag.BoolVar(&abused, "abuse", false, "instead: the echo's latency before and during abuse, and the server's memory")
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
	if abused {
		return underAbuse(wireecho)
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
	if s.conns > 0 {
		if err := c.active(s); err != nil {
			return err
		}
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
	j := job{Addr: addr, Raw: c.raw, Conns: s.conns, Size: s.size, Time: s.seconds, Work: "echo"}
	warm := j
	warm.Time = s.seconds / 4
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

// shardSize is how many connections one process holds: fewer than the usual
// limit of descriptors.
const shardSize = 19000

// shard is a server with its load generator.
type shard struct {
	srv, gen *process
	conns    int
	empty    int64         // RSS before the connections
	emptyGC  time.Duration // and CPU of a collection
}

// idling measures what a quiet connection costs: the CPU of its upgrade, its
// memory, and its share of a garbage collection.
func (c *contestant) idling(s *settings) error {
	var shards []*shard
	defer func() {
		for _, sh := range shards {
			sh.stop()
		}
	}()
	var upgrade time.Duration
	for left := s.idle; left > 0; left -= shardSize {
		sh := &shard{conns: min(left, shardSize)}
		shards = append(shards, sh)
		cpu, err := c.fill(sh)
		if err != nil {
			return err
		}
		upgrade += cpu
	}
	var grown int64
	for _, sh := range shards {
		full, err := sh.srv.settledRSS()
		if err != nil {
			return err
		}
		grown += full - sh.empty
	}
	gc, err := shards[0].srv.collections()
	if err != nil {
		return err
	}
	c.upgrade = append(c.upgrade, float64(upgrade)/1e3/float64(s.idle))
	c.idle = append(c.idle, float64(grown)/1024/float64(s.idle))
	c.gc = append(c.gc, float64(gc)/1e6)
	c.gc0 = append(c.gc0, float64(shards[0].emptyGC)/1e6)
	return nil
}

// fill starts a shard and connects, and returns the server's CPU for it.
func (c *contestant) fill(sh *shard) (time.Duration, error) {
	srv, addr, err := c.server()
	if err != nil {
		return 0, err
	}
	sh.srv = srv
	j := job{Addr: addr, Conns: 200, Work: "idle"}
	warm, err := load(j)
	if err != nil {
		return 0, err
	}
	warm.stop()
	if sh.empty, err = srv.settledRSS(); err != nil {
		return 0, err
	}
	if sh.emptyGC, err = srv.collections(); err != nil {
		return 0, err
	}
	before, err := srv.cpu()
	if err != nil {
		return 0, err
	}
	j.Conns = sh.conns
	if sh.gen, err = load(j); err != nil {
		return 0, err
	}
	after, err := srv.cpu()
	return after - before, err
}

func (sh *shard) stop() {
	if sh.gen != nil {
		sh.gen.stop()
	}
	if sh.srv != nil {
		sh.srv.stop()
	}
}

// collections is the CPU of one forced garbage collection, less what the
// process does anyway in that time.
func (p *process) collections() (time.Duration, error) {
	const cycles, each = 10, 200 * time.Millisecond
	spend := func(act func() error) (time.Duration, error) {
		before, err := p.cpu()
		if err != nil {
			return 0, err
		}
		for range cycles {
			if err := act(); err != nil {
				return 0, err
			}
			time.Sleep(each)
		}
		after, err := p.cpu()
		return (after - before) / cycles, err
	}
	base, err := spend(func() error { return nil })
	if err != nil {
		return 0, err
	}
	full, err := spend(func() error { return p.cmd.Process.Signal(syscall.SIGUSR1) })
	return full - base, err
}
