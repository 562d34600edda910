package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"hydrant/edge/cmd/hydrant/internal/page"
)

// The page of the demo is served by its nodes, and a button of it kills one. So a node
// asks the demo, a line each over the pipes between them:
//
//	node → demo   kill 5354    may it be killed?
//	demo → node   an empty line, or why not
//	node → demo   now 5354     its page has been told: kill it

// demoNodeCommand is the subcommand of the demo's nodes, which nobody else needs.
const demoNodeCommand = "demo-node"

// Questions of a node.
const (
	mayKill = "kill "
	killNow = "now "
)

// runDemoNode is serve with the page, for as long as the demo runs. That holds the
// other end of standard input, which closes with it however it ends, SIGKILL included.
func runDemoNode(ctx context.Context, ports []string, demo io.Writer) error {
	asks := &asker{demo: demo, answers: make(chan string)}
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			asks.answers <- lines.Text()
		}
		os.Exit(1) // NATS has gone with the demo: there is nothing to leave in order
	}()
	return serve(ctx, io.Discard, page.Handlers(ports, asks))
}

// asker is the demo as its nodes see it.
type asker struct {
	demo    io.Writer
	answers chan string // of the reader of standard input

	mu sync.Mutex // one question at a time
}

// Kill implements [page.Killer].
func (a *asker) Kill(port string) (why string, done func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := fmt.Fprintln(a.demo, mayKill+port); err != nil {
		return err.Error(), nil
	}
	if why := <-a.answers; why != "" {
		return why, nil
	}
	return "", func() { _, _ = fmt.Fprintln(a.demo, killNow+port) } // fails when the demo has ended
}

// answer answers what a node asks, until it ends.
func (d *demo) answer(questions io.Reader, answers io.Writer) {
	for lines := bufio.NewScanner(questions); lines.Scan(); {
		if port, ok := strings.CutPrefix(lines.Text(), mayKill); ok {
			_, why := d.victim(port)
			_, _ = fmt.Fprintln(answers, why) // fails when the node has ended
		} else if port, ok := strings.CutPrefix(lines.Text(), killNow); ok {
			if n, _ := d.victim(port); n != nil {
				_ = n.cmd.Process.Kill() // which its goroutine, this one, waits for
			}
		}
	}
}

// victim is the node on a port, or why it is not to be killed now: one at a time.
func (d *demo) victim(port string) (n *demoNode, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.playing {
		return nil, "the tour in the terminal is not over"
	}
	for _, other := range d.nodes {
		if !other.runs() {
			return nil, "the other node has not started again yet"
		}
		if other.port == port {
			n = other
		}
	}
	return n, ""
}

// absence is for how long a node that was killed stays away: clients are to find the
// other one before.
const absence = 2 * time.Second

// play starts nodes again that end, whoever ended them, until ctx ends.
func (d *demo) play(ctx context.Context, natsURL string) {
	d.mu.Lock()
	d.playing = true
	d.mu.Unlock()
	var keepers sync.WaitGroup
	for i := range d.nodes {
		keepers.Go(func() { d.keep(ctx, i, natsURL) })
	}
	keepers.Wait()
}

// keep is play for one node.
func (d *demo) keep(ctx context.Context, i int, natsURL string) {
	n := d.nodes[i] // only this goroutine puts another one there
	for {
		select {
		case <-n.ended:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(absence):
		case <-ctx.Done():
			return
		}
		again, err := d.startNode(ctx, n.port, natsURL)
		switch {
		case ctx.Err() != nil && err != nil:
			return
		case err != nil:
			fmt.Fprintln(os.Stderr, err)
			continue // n has ended: after a pause once more
		}
		n = again
		d.mu.Lock()
		d.nodes[i] = n
		d.mu.Unlock()
	}
}
