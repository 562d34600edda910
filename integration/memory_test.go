package integration

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// metrics reads all samples of a node, by name and labels as they are written.
func metrics(t *testing.T, node *harness.Node) map[string]float64 {
	t.Helper()
	text, err := harness.Get(node.AdminHTTP("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	samples := make(map[string]float64)
	for line := range bytes.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		if !ok || name == "#" {
			continue
		}
		if samples[name], err = strconv.ParseFloat(value, 64); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	return samples
}

const (
	needed  = "hydrant_memory_needed_bytes"
	refused = `hydrant_shed_total{what="refused"}`
	shed    = `hydrant_shed_total{what="closed"}`
	noRoom  = `hydrant_closes_total{reason="overload"}`
)

// R6: near its memory limit a node refuses new clients with 503, closes some
// of those it has with 1013, lives on, and takes clients again when they have
// left.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	roomy := w.Start(t, "roomy", map[string]string{"GOMEMLIMIT": "1GiB"})
	var idle float64 // what a node needs without clients
	if err := harness.Until(world.Patient(t), func() error {
		if idle = metrics(t, roomy)[needed]; idle == 0 {
			return errors.New("not measured yet")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	roomy.Kill()
	const room = 8 << 20
	limit := int64((idle + room) / 0.85) // where it refuses
	node := w.Start(t, "small", map[string]string{"GOMEMLIMIT": strconv.FormatInt(limit, 10),
		"EDGE_TRUSTED_PROXIES": "127.0.0.0/8", // a crowd of one address would use up what that may leave unused
		"EDGE_PING_INTERVAL":   "10m"})        // the crowd does not answer, and is not to go for that
	bystander := world.Dial(t, node)
	crowd := crowdIn(t, node)
	t.Logf("limit %d MiB, %d clients", limit>>20, len(crowd))
	notReady(t, node, "memory: ")
	healthcheck(t, node, 0)
	bystander.Fence()
	if m := metrics(t, node); m[refused] == 0 {
		t.Errorf("%s %v", refused, m[refused])
	}

	// The crowd wants more than there is: first so little each that only all of
	// it counts, then more than messages under way may take together.
	var codes [5000]atomic.Int32
	var reading sync.WaitGroup
	for _, c := range crowd {
		if err := c.SetDeadline(time.Now().Add(harness.Patience)); err != nil { // the first have waited for the last
			t.Fatal(err)
		}
		reading.Go(func() { codes[endOf(c)].Add(1) })
	}
	want := func(bytes int) {
		frame := notFinal(harness.OpContinuation, make([]byte, bytes))
		for _, c := range crowd {
			_, _ = c.Write(frame) // fails if it has been closed
		}
	}
	want(2000 - begunBytes) // in buffers that are too small to be counted one by one
	closed := func(counter string, more func()) {
		t.Helper()
		if err := harness.Until(world.Patient(t), func() error {
			more()
			if metrics(t, node)[counter] == 0 || codes[1013].Load() == 0 {
				return errors.New("nobody is closed with 1013")
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v", counter, err)
		}
	}
	closed(shed, func() {})
	closed(noRoom, func() { want(16 << 10) }) // some may be shed before all of them are read
	m := metrics(t, node)
	resident, err := harness.ResidentBytes(node.PID())
	t.Logf("%d closed with 1013; shed %v, no room %v; resident %d MiB, %v", codes[1013].Load(), m[shed], m[noRoom], resident>>20, err)
	for _, c := range crowd {
		_ = c.Close()
	}
	reading.Wait()
	for code := range codes { // 1008: a message may not be under way for ever, and the first of the crowd have waited for the last
		if n := codes[code].Load(); n != 0 && code != 0 && code != 1013 && code != 1008 {
			t.Errorf("%d are closed with %d", n, code)
		}
	}
	if err := harness.Until(world.Patient(t), func() error { // it may be short once more while it cleans up
		c, err := harness.Dial(t.Context(), node.URL("/"), harness.DialOptions{})
		if err != nil {
			return err
		}
		defer c.Close()
		return node.Ready()
	}); err != nil {
		t.Fatal(err)
	}
}

// begunBytes is so little that the crowd's messages can grow to four times that, and
// with them what the node needs by a quarter.
const begunBytes = 400

// crowdIn connects clients, each in the middle of a message, until one is
// refused for lack of memory.
func crowdIn(t *testing.T, node *harness.Node) []*harness.Raw {
	t.Helper()
	begun := notFinal(harness.OpBinary, make([]byte, begunBytes))
	var crowd []*harness.Raw
	for len(crowd) < 20_000 {
		c, err := harness.DialRaw(node.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := c.Write(append([]byte(harness.HandshakeRequest(node.Addr, "/", "")), begun...)); err != nil {
			t.Fatal(err)
		}
		response, err := c.ReadResponse()
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode == http.StatusServiceUnavailable {
			if response.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			if metrics(t, node)[refused] > 0 {
				return crowd
			}
			_ = c.Close() // for another reason: a machine that stood still, say
			continue
		}
		crowd = append(crowd, c)
	}
	t.Fatal("nobody was refused")
	return nil
}

// notFinal is a frame that more of the message follow.
func notFinal(opcode byte, payload []byte) []byte {
	frame := harness.AppendFrame(nil, opcode, payload)
	frame[0] &^= 0x80
	return frame
}

// endOf waits for the end of the connection and returns the close code; 0: it
// had none.
func endOf(c *harness.Raw) int {
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return 0
		}
		if frame.Opcode == harness.OpClose {
			code, _ := frame.CloseCode()
			return code
		}
	}
}
