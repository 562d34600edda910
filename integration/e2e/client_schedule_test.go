//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
)

// TestE2EClientSchedules, C28: faults one upon another, at moments that come from
// HYDRANT_SEED; CLIENT_SCHEDULES says how many schedules are played.
func TestE2EClientSchedules(t *testing.T) {
	n := 1
	if text := os.Getenv("CLIENT_SCHEDULES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		for _, in := range []string{"node22", "chromium"} {
			t.Run(fmt.Sprint(in, " ", i), func(t *testing.T) {
				t.Logf("HYDRANT_SEED=%d", harness.Seed())
				s := &schedule{clientWorld: newClientWorld(t, in, "EDGE_DRAIN_TIMEOUT", "1s"), random: harness.Rand(t.Name()), heard: make(map[string]int)}
				s.play()
			})
		}
	}
}

// schedule is what the client says meanwhile, and what became of it.
type schedule struct {
	*clientWorld
	random *rand.Rand
	other  *harness.Client
	said   []string // names, whose first three letters tell what it was

	mu    sync.Mutex
	heard map[string]int // by the service, by name
}

// faults that end by themselves, or by the next one.
var scheduleFaults = []func(*schedule){(*schedule).kill, (*schedule).drain, (*schedule).cut, (*schedule).silence, (*schedule).halfOpen, (*schedule).frozen}

func (s *schedule) play() {
	s.t.Helper()
	service, err := s.nc.QueueSubscribe("umf.v1.svc.listener", "listener", s.hear)
	if err == nil {
		err = s.nc.Flush()
	}
	if err == nil {
		s.other, err = harness.Dial(s.ctx, s.nodes[0].URL("/"), harness.DialOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.other.Drop() // what is sent to it waits
	s.start("{timeout: 2000}")
	for range 6 {
		s.speak()
		fault := scheduleFaults[s.random.IntN(len(scheduleFaults))]
		fault(s)
		if s.random.IntN(2) == 0 {
			s.until(`page.client.state === "open"`)
		}
		s.speak()
	}
	s.until(`page.client.state === "open"`)
	s.speak()
	s.arrived(1)
	s.until(fmt.Sprintf("Object.keys(page.outcomes).length === %d", len(s.said)))
	if err := service.Drain(); err != nil {
		s.t.Fatal(err)
	}
	s.judge()
}

// speak pushes to the client, and has it say a few things.
func (s *schedule) speak() {
	s.t.Helper()
	for range s.random.IntN(6) {
		name := fmt.Sprintf("%s-%d", []string{"say", "tel", "ask"}[s.random.IntN(3)], len(s.said))
		s.said = append(s.said, name)
		call := map[string]string{
			"say": `page.send(%q, "` + s.other.ID + `@client:/", {say: %[1]q})`,
			"tel": `page.send(%q, "listener:/", {say: %[1]q})`,
			"ask": `page.request(%q, "echo:/", {say: %[1]q}, {timeout: 120000})`,
		}[name[:3]]
		s.eval(fmt.Sprintf(call, name))
	}
	s.push(s.random.IntN(40))
}

func (s *schedule) hear(m *nats.Msg) {
	var message struct{ Bdy struct{ Say string } }
	if err := json.Unmarshal(m.Data, &message); err != nil {
		s.t.Errorf("%v: %s", err, m.Data)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard[message.Bdy.Say]++
}

// judge compares what the client has told with what is stored, and what the service heard.
func (s *schedule) judge() {
	s.t.Helper()
	stored := s.storedFor(s.other)
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]int)
	for name, outcomes := range value[map[string][]any](s.clientWorld, "page.outcomes") {
		if len(outcomes) != 1 {
			s.t.Errorf("%s has %d outcomes: %v", name, len(outcomes), outcomes)
			continue
		}
		n := stored[name] + s.heard[name]
		is := outcomes[0]
		if answer, ok := is.(map[string]any); ok && answer["say"] == name {
			is = "answered"
		}
		counts[fmt.Sprint(name[:3], " ", is)]++
		switch {
		case name[:3] == "ask" && is == "answered":
		case name[:3] != "ask" && is == "accepted" && n == 1:
		case name[:3] != "ask" && (is == "unknown" || is == "timeout" || is == "unavailable") && n <= 1:
		default:
			s.t.Errorf("%s is %v, and there %d times", name, is, n)
		}
	}
	s.t.Log(counts, s.pushed, "pushed")
	if got := value[string](s.clientWorld, "page.client.session"); got != s.session {
		s.t.Errorf("the session is %s, it was %s", got, s.session)
	}
	if errors := s.eval("page.seen.errors"); string(errors) != "[]" {
		s.t.Errorf("errors: %s", errors)
	}
}

func (s *schedule) back(i int) {
	s.t.Helper()
	err := s.nodes[i].Start()
	if err == nil {
		err = s.nodes[i].WaitReady(s.ctx)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *schedule) kill() {
	i := s.random.IntN(len(s.nodes))
	s.nodes[i].Kill()
	s.speak()
	s.back(i)
}

func (s *schedule) drain() {
	i := s.random.IntN(len(s.nodes))
	if err := s.nodes[i].Terminate(s.ctx); err != nil {
		s.t.Error(err)
	}
	s.speak()
	s.back(i)
}

func (s *schedule) cut() {
	for _, line := range s.lines {
		line.Cut()
	}
}

// silence is a network that swallows everything, until the client is elsewhere.
func (s *schedule) silence() {
	i := s.at()
	s.lines[i].Set(harness.Weather{Blackhole: true})
	s.speak()
	s.until(fmt.Sprintf(`page.count() >= %d`, s.pushed))
	s.lines[i].Set(harness.Weather{})
	s.lines[i].Cut()
}

// halfOpen is the client's end of the connection gone, and the node not told.
func (s *schedule) halfOpen() {
	i := s.at()
	s.lines[i].LoseClients()
	s.lines[i].Set(harness.Weather{})
}

// frozen is a page that stands still, and loses its connection perhaps.
func (s *schedule) frozen() {
	i := s.at()
	thaw := s.freeze()
	s.push(s.random.IntN(40))
	if s.random.IntN(2) == 0 {
		s.lines[i].LoseClients()
		s.lines[i].Set(harness.Weather{})
	}
	thaw()
}
