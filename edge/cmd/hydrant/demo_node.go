package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// demoNode is one edge node of the demo: this program again, as a process of
// its own, so that it can be killed.
type demoNode struct {
	url    string // of clients
	cmd    *exec.Cmd
	exited chan error // one value: how it ended
}

// demoNodeCommand is the subcommand of the demo's nodes, which nobody else needs.
const demoNodeCommand = "demo-node"

// runDemoNode is serve for as long as the demo runs. That holds the other end of
// standard input, which closes with it however it ends, SIGKILL included.
func runDemoNode(ctx context.Context, args []string, out io.Writer) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1) // NATS has gone with the demo: there is nothing to leave in order
	}()
	return runServe(ctx, args, out)
}

// startNode starts a node and waits until it is ready. The password of NATS is in dir.
func startNode(ctx context.Context, listen, natsURL, dir string) (*demoNode, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, demoNodeCommand)
	if _, err := cmd.StdinPipe(); err != nil { // open until this process or that one has ended
		return nil, err
	}
	cmd.Stderr = os.Stderr
	cmd.Env = append(slices.DeleteFunc(os.Environ(), configures),
		"NATS_URL="+natsURL, "EDGE_DATA_DIR="+dir, "EDGE_LISTEN="+listen, "EDGE_ADMIN_LISTEN=", "EDGE_LOG_LEVEL=error", "EDGE_DRAIN_TIMEOUT=5s", "EDGE_ALLOWED_ORIGINS=loopback")
	keepSignals(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &demoNode{url: "ws://localhost:" + port, cmd: cmd, exited: make(chan error, 1)}
	go func() { n.exited <- cmd.Wait() }()
	if err := n.ready(ctx); err != nil {
		n.kill()
		return nil, fmt.Errorf("node on %s: %w", listen, err)
	}
	return n, nil
}

// configures reports whether a variable of the environment is a setting, which
// is not meant for the demo.
func configures(variable string) bool {
	return strings.HasPrefix(variable, "EDGE_") || strings.HasPrefix(variable, "NATS_") || strings.HasPrefix(variable, "OTEL_")
}

// ready waits until the node takes clients.
func (n *demoNode) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := askHealth(ctx, strings.TrimPrefix(n.url, "ws://"), "/readyz")
		if err == nil {
			return nil
		}
		select {
		case err := <-n.exited:
			n.exited <- err
			return fmt.Errorf("ended at its start: %w", err)
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

// kill ends the node as a crash does, and waits for its end.
func (n *demoNode) kill() {
	_ = n.cmd.Process.Kill() // fails only if it has ended
	<-n.exited
	n.exited <- nil // as was to be expected
}

// stop lets the node leave in order. Its end is waited for with wait.
func (n *demoNode) stop() { _ = n.cmd.Process.Signal(syscall.SIGTERM) } // fails only if it has ended

func (n *demoNode) wait() error { return <-n.exited }
