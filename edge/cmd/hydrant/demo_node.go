package main

import (
	"context"
	"fmt"
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
	// Immutable.
	url   string // of clients
	port  string
	cmd   *exec.Cmd
	ended chan struct{} // closed by wait's goroutine

	err error // how it ended; set before ended is closed
}

// startNode starts a node on one of the demo's ports, and waits until it is ready. The
// password of NATS is in dir. What the node asks for its page goes to page, until it ends.
func (d *demo) startNode(ctx context.Context, port, natsURL string) (*demoNode, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append([]string{demoNodeCommand}, d.ports...)...)
	answers, err := cmd.StdinPipe() // open until this process or that one has ended
	if err != nil {
		return nil, err
	}
	questions, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	cmd.Env = append(slices.DeleteFunc(os.Environ(), configures),
		"NATS_URL="+natsURL, "EDGE_DATA_DIR="+d.dir, "EDGE_LISTEN="+net.JoinHostPort("", port), "EDGE_ADMIN_LISTEN=", "EDGE_LOG_LEVEL=error",
		"EDGE_DRAIN_TIMEOUT=5s", "EDGE_ALLOWED_ORIGINS=loopback", "EDGE_QUEUE_LIMIT=10000") // of which one client may fill a tenth
	keepSignals(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &demoNode{url: "ws://localhost:" + port, port: port, cmd: cmd, ended: make(chan struct{})}
	go func() {
		d.answer(questions, answers) // before the wait, which closes the pipe
		n.err = cmd.Wait()
		close(n.ended)
	}()
	if err := n.ready(ctx); err != nil {
		n.kill()
		return nil, fmt.Errorf("node on :%s: %w", port, err)
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
		case <-n.ended:
			return fmt.Errorf("ended at its start: %w", n.err)
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

// kill ends the node as a crash does, and waits for its end.
func (n *demoNode) kill() {
	_ = n.cmd.Process.Kill() // fails only if it has ended
	<-n.ended
}

// stop lets the node leave in order. Its end is waited for with wait.
func (n *demoNode) stop() { _ = n.cmd.Process.Signal(syscall.SIGTERM) } // fails only if it has ended

// wait returns how the node ended.
func (n *demoNode) wait() error {
	<-n.ended
	return n.err
}

// runs reports whether the node has not ended.
func (n *demoNode) runs() bool {
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}
