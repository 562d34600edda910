package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R3: SIGTERM parks every session, closes with 1012 and a hint, spread over
// the time set, and ends in time with status 0. What is sent meanwhile comes on
// another node.
//
// When neither node nor clients run for a while, the closes come in heaps. They
// come evenly over a time that is long enough, or the node does not spread them.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	staying := w.Start(t, "staying", nil)
	for spread := 4 * time.Second; ; spread *= 2 {
		uneven := unevenness(drained(t, w, staying, spread), spread)
		if uneven == "" || t.Failed() {
			return
		}
		if spread > harness.Patience/2 {
			t.Fatal(uneven)
		}
		t.Log(uneven)
	}
}

// drained drains a node, checks what became of its sessions, and returns when
// each of their sockets was closed.
func drained(t *testing.T, w *world.World, staying *harness.Node, spread time.Duration) []time.Time {
	t.Helper()
	leaving := w.Start(t, "leaving in "+spread.String(), map[string]string{"EDGE_DRAIN_TIMEOUT": spread.String()})
	sessions := make([]*world.Client, scaled(300, 5000))
	for i := range sessions {
		sessions[i] = world.Dial(t, leaving)
	}
	if health, err := harness.Get(leaving.HTTP("/v1/router/health")); err != nil || !bytes.Contains(health, fmt.Appendf(nil, `"connections":%d,`, len(sessions))) {
		t.Errorf("health %s, %v, want %d connections", health, err, len(sessions))
	}
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), spread+harness.Patience)
		defer cancel()
		ended <- leaving.Terminate(ctx)
	}()
	ends := make([]time.Time, len(sessions))
	var group sync.WaitGroup
	for i, c := range sessions {
		group.Go(func() {
			code, reason, err := c.Client.Closed(context.WithoutCancel(t.Context()))
			ends[i] = time.Now()
			var millis int
			if _, scan := fmt.Sscanf(reason, "retry after %d ms", &millis); err != nil || code != 1012 || scan != nil {
				t.Errorf("closed with %d %q (%v), want 1012 and when to come again", code, reason, err)
			}
		})
	}
	for _, c := range sessions {
		w.PushNumbers(t, c.ID, 0, 2) // some before, some after the close
	}
	group.Wait()
	if err := <-ended; err != nil {
		t.Errorf("the node ends with %v", err)
	}
	for _, c := range sessions {
		entry, err := w.LookUp(t, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		seen := len(c.Inbox())
		again := c.Resume(staying)
		for seen < 2 {
			seen = again.WantContinuation(seen, 1)
		}
		if t.Failed() {
			t.Fatalf("entry %+v", entry)
		}
		again.Drop()
	}
	return ends
}

// unevenness says how the ends do not fill the time set evenly: in a quarter of
// it less than half, or more than twice, of its share. The first and the last few
// are not looked at: a straggler would make the quarters longer.
func unevenness(ends []time.Time, set time.Duration) string {
	slices.SortFunc(ends, time.Time.Compare)
	ends = ends[len(ends)/20 : len(ends)-len(ends)/20]
	took := ends[len(ends)-1].Sub(ends[0])
	if took < set/2 {
		return fmt.Sprintf("the closes came in %v, want them spread over %v", took, set)
	}
	var quarters [4]int
	for _, end := range ends {
		quarters[min(3, int(4*end.Sub(ends[0])/(took+1)))]++
	}
	for _, n := range quarters {
		if share := len(ends) / 4; n < share/2 || n > 2*share {
			return fmt.Sprintf("closes by quarter of %v: %v, want about %d in each", took, quarters, share)
		}
	}
	return ""
}

// While the balancer has not noticed, a node that leaves is not ready, but
// serves everybody. SIGUSR1 then SIGTERM is one drain; the next SIGTERM ends it.
func TestDrainGrace(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "patient", map[string]string{"EDGE_DRAIN_GRACE": "1h"})
	early := world.Dial(t, node)
	if err := node.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	notReady(t, node, "drain: ")
	healthcheck(t, node, 0)
	healthcheck(t, node, 1, "-ready")
	late := world.Dial(t, node)
	late.Fence()
	early.Fence()
	if err := node.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	late.Fence()
	if err := harness.Until(world.Patient(t), func() error {
		select {
		case <-node.Exited():
			return nil
		default:
			return errors.Join(errors.New("still there"), ignoreDone(node.Signal(syscall.SIGTERM)))
		}
	}); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := node.Err(); !errors.As(err, &exit) {
		t.Errorf("forced to end, it says %v", err)
	}
}

func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// notReady waits until the node says that it is not, and gives that reason.
func notReady(t *testing.T, node *harness.Node, reason string) {
	t.Helper()
	if err := harness.Until(world.Patient(t), func() error {
		code, status, err := statusOf(node.AdminHTTP("/readyz"))
		if err != nil {
			return err
		}
		if code != http.StatusServiceUnavailable || !strings.Contains(status, reason) {
			return &wrongStatus{status}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// healthcheck runs `hydrant healthcheck` against the node.
func healthcheck(t *testing.T, node *harness.Node, status int, args ...string) string {
	t.Helper()
	out, problems, err := hydrant(t, "", []string{"EDGE_ADMIN_LISTEN=" + node.Admin}, append([]string{"healthcheck"}, args...)...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != status {
		t.Errorf("healthcheck %v: status %d, want %d: %s%s", args, got, status, out, problems)
	}
	return out + problems
}

// The admin listener drains as well.
func TestDrainByAdministrator(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "leaving", map[string]string{"EDGE_DRAIN_GRACE": "200ms", "EDGE_DRAIN_TIMEOUT": "1s"})
	c := world.Dial(t, node)
	if status, e, _ := fetch(t, "POST", node.AdminHTTP("/drain"), "", nil); status != http.StatusAccepted || !strings.Contains(string(e.Result), `"connections":1`) {
		t.Errorf("status %d, %s", status, e.Result)
	}
	if code, reason := c.Closed(); code != 1012 || !strings.HasPrefix(reason, "retry after ") {
		t.Errorf("closed with %d %q", code, reason)
	}
	if err := node.Err(); err != nil {
		t.Errorf("the node ends with %v", err)
	}
	healthcheck(t, node, 1)
}

// A drain ends in time, and in order, also when NATS is gone or says nothing.
func TestDrainWithoutNATS(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*harness.NATSServer) error{
		"killed": func(s *harness.NATSServer) error { s.Kill(); return nil },
		"frozen": func(s *harness.NATSServer) error { return s.Freeze() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.Own(t, harness.NATSOptions{})
			node := w.Start(t, "leaving", map[string]string{"EDGE_DRAIN_TIMEOUT": "500ms"})
			var clients []*world.Client
			for range 20 {
				clients = append(clients, world.Dial(t, node))
			}
			if err := fail(w.NATS.Servers[0]); err != nil {
				t.Fatal(err)
			}
			if err := node.Terminate(world.Patient(t)); err != nil {
				t.Errorf("the node ends with %v", err)
			}
			for _, c := range clients {
				if code, reason := c.Closed(); code != 1012 || reason == "" {
					t.Errorf("closed with %d %q", code, reason)
				}
			}
		})
	}
}
