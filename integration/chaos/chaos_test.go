package chaos

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hydrant/integration/chaos/check"
	"hydrant/integration/harness"
)

var (
	duration = flag.Duration("duration", 12*time.Second, "how long faults are made")
	seed     = flag.Uint64("seed", 0, "of the schedule; 0: HYDRANT_SEED, or a new one")
	servers  = flag.Int("nats", 1, "NATS servers, 1 or 3")
	clients  = flag.Int("clients", 60, "clients that are harmed")
	tails    = flag.String("tails", "", "what nodes keep for parked sessions: short, off; empty: as they do by themselves")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	complaints := harness.Shutdown()
	if err := goleak.Find(harness.IgnoreSpawner()); err != nil {
		complaints = append(complaints, err.Error())
	}
	for _, complaint := range complaints {
		fmt.Println("after all tests:", complaint)
		code = max(code, 1)
	}
	os.Exit(code)
}

// I1–I8 and L under R1, R2, R4, R5, R7–R11, R24, R25, R28–R30, R36.
func TestChaos(t *testing.T) {
	t.Parallel()
	_, text := judge(t, Config{Duration: *duration, Servers: *servers, Clients: *clients, Rate: 4 * *clients})
	if !t.Failed() {
		expectMutationsFound(t, text)
	}
}

// The same where mailboxes overflow: R18, and every gap is told.
func TestChaosWithSmallMailboxes(t *testing.T) {
	t.Parallel()
	report, _ := judge(t, Config{Duration: *duration / 2, Servers: *servers, Queue: 2, Clients: 12, Rate: 200})
	if report.Gaps == 0 {
		t.Error("no mailbox overflowed")
	}
}

func judge(t *testing.T, cfg Config) (*check.Report, []byte) {
	t.Helper()
	cfg.Seed, cfg.Tails = *seed, Tails(*tails)
	if cfg.Seed == 0 {
		cfg.Seed = harness.Seed()
	}
	t.Logf("-seed %d", cfg.Seed)
	var history bytes.Buffer
	cfg.History, cfg.Log = &history, t.Logf
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	text := history.Bytes()
	report, err := check.History(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	for _, v := range report.Violations[:min(40, len(report.Violations))] {
		t.Error(v)
	}
	if t.Failed() {
		keep(t, text)
	}
	if report.Delivered == 0 || report.Resumes == 0 || len(report.Faults) == 0 {
		t.Errorf("a run without anything to judge: %v", report)
	}
	return report, text
}

// keep leaves the history of a failed run where somebody can look at it.
func keep(t *testing.T, text []byte) {
	t.Helper()
	file, err := os.CreateTemp("", "chaos-*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		t.Fatal(err)
	}
	t.Logf("the history is %s; judge it again with: go run ./integration/chaos/cmd/chaos -check %s", file.Name(), file.Name())
}
