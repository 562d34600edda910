package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"hydrant/edge/client"
	"hydrant/integration/harness"
	"hydrant/umf"
)

// callers is how many clients ask at a time, each one thing after the other.
const callers = 16

// asks is what they ask: a node answers by itself.
const asks = "hydra-router:[GET]/v1/router/version"

// caller is a client of either kind.
type caller struct {
	ask   func(ctx context.Context) error
	close func()

	// Of those without package client.
	write, read func() error
	gone        chan struct{} // closed by close
}

// library: what a program pays for package client, beside a WebSocket of the same library
// with the same messages and no more: once with a goroutine that reads, as whoever gets
// messages unasked must have one, and once read by the caller. They take turns.
func library(ctx context.Context, b *bench) error {
	node, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	const turns = 12
	kinds := []func(context.Context, string) (*caller, error){clientCaller, readingCaller, rawCaller}
	var costs [3][]float64
	var ratios [3][]float64 // within a turn
	for turn := range turns {
		for i, dial := range kinds {
			cost, err := b.roundTrips(ctx, node, dial)
			if err != nil {
				return err
			}
			if turn > 0 { // the first warms up
				costs[i] = append(costs[i], cost)
				ratios[i] = append(ratios[i], costs[0][turn-1]/cost)
			}
		}
	}
	for i, beside := range []string{"", " beside a WebSocket with a goroutine that reads", " beside a WebSocket that the caller reads"} {
		slices.Sort(costs[i])
		slices.Sort(ratios[i])
		if middle := turns / 2; i > 0 {
			b.report.ratio(fmt.Sprintf("a round trip through package client (%.1f µs of this process)%s (%.1f µs)", costs[0][middle], beside, costs[i][middle]), ratios[i][middle], 0)
		}
	}
	return b.held(ctx, node)
}

// roundTrips returns what a round trip costs this process, in µs.
func (b *bench) roundTrips(ctx context.Context, node *harness.Node, dial func(context.Context, string) (*caller, error)) (float64, error) {
	all := make([]*caller, callers)
	defer func() {
		for _, c := range all {
			if c != nil {
				c.close()
			}
		}
	}()
	if err := inParallel(callers, callers, func(i int) (err error) {
		all[i], err = dial(ctx, "ws://"+node.Addr)
		return err
	}); err != nil {
		return 0, err
	}
	before, err := processorTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	var count atomic.Int64
	end := time.Now().Add(b.duration)
	if err := inParallel(callers, callers, func(i int) error {
		for time.Now().Before(end) {
			if err := all[i].ask(ctx); err != nil {
				return err
			}
			count.Add(1)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	after, err := processorTime(os.Getpid())
	return float64(after-before) / 1000 / float64(count.Load()), err
}

// rawCaller writes and reads by itself.
func rawCaller(ctx context.Context, url string) (*caller, error) {
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{"umf.ack.v1"}})
	if err != nil {
		return nil, err
	}
	_, text, err := conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	welcome, err := umf.Parse(text)
	if err != nil {
		return nil, err
	}
	id, _ := umf.MemberText(welcome.Body, "id")
	c := &caller{gone: make(chan struct{})}
	n := 0
	c.write = func() error {
		n++
		m := umf.Message{To: asks, From: id + "@client:/", Mid: "m" + strconv.Itoa(n), Body: json.RawMessage("{}")}
		text, err := m.AppendShort(nil)
		if err != nil {
			return err
		}
		return conn.Write(context.Background(), websocket.MessageText, text)
	}
	c.read = func() error {
		for {
			_, text, err := conn.Read(context.Background())
			if err != nil {
				return err
			}
			if answer, err := umf.Parse(text); err != nil || answer.Rmid != "" {
				return err
			}
		}
	}
	c.ask = func(context.Context) error { return errors.Join(c.write(), c.read()) }
	c.close = func() {
		close(c.gone)
		_ = conn.CloseNow()
	}
	return c, nil
}

// readingCaller has a goroutine that reads, and hands answers over.
func readingCaller(ctx context.Context, url string) (*caller, error) {
	c, err := rawCaller(ctx, url)
	if err != nil {
		return nil, err
	}
	answers := make(chan error)
	c.ask = func(context.Context) error {
		if err := c.write(); err != nil {
			return err
		}
		return <-answers
	}
	go func() {
		for {
			err := c.read()
			select {
			case answers <- err:
			case <-c.gone:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return c, nil
}

func clientCaller(ctx context.Context, url string) (*caller, error) {
	c, err := client.Dial(ctx, client.Options{URLs: []string{url}})
	if err != nil {
		return nil, err
	}
	return &caller{
		ask: func(ctx context.Context) error {
			_, err := c.Request(ctx, client.Message{To: asks})
			return err
		},
		close: c.Close,
	}, nil
}

// held measures the memory of many clients of this process that have nothing to do.
func (b *bench) held(ctx context.Context, node *harness.Node) error {
	most := 10_000
	if b.idle[0] < 1000 {
		most = b.idle[0]
	}
	before, err := ownMemory(ctx, b.rest)
	if err != nil {
		return err
	}
	all := make([]*caller, most)
	defer func() {
		for _, c := range all {
			if c != nil {
				c.close()
			}
		}
	}()
	if err := inParallel(most, b.parallel, func(i int) (err error) {
		if all[i], err = clientCaller(ctx, "ws://"+node.Addr); err == nil {
			err = all[i].ask(ctx)
		}
		return err
	}); err != nil {
		return err
	}
	after, err := ownMemory(ctx, b.rest)
	if err != nil {
		return err
	}
	b.report.ratio(fmt.Sprintf("KiB of this process for each of %d idle clients", most), (after-before)/1024/float64(most), 40)
	return nil
}

// ownMemory is what this process holds once its garbage is collected.
func ownMemory(ctx context.Context, rest time.Duration) (float64, error) {
	if err := pause(ctx, rest, nil); err != nil {
		return 0, err
	}
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse + m.MSpanInuse + m.MCacheInuse), nil
}
