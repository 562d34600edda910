//go:build rolling

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hydrant/integration/harness"
)

// laterVersion is what a version that comes after this one may do beside it: whatever
// nodes tell one another has more than this one knows, requests are of a higher form, and
// entries will be when this version has left, which it looks for more often than a real one.
var laterVersion = []harness.Change{
	{File: "bus/scheme/entry.go", Old: "const Form = 3\n", New: "const Form = 4\n"},
	{File: "bus/scheme/entry.go", Old: "type entryJSON struct {\n", New: "type entryJSON struct {\n\tLater map[string]any `json:\"later,omitempty\"`\n"},
	{File: "bus/scheme/entry.go", Old: "j := entryJSON{\n", New: "j := entryJSON{\n\t\tLater: map[string]any{\"n\": []int{1}},\n"},
	{File: "bus/scheme/metadata.go", Old: "m[MetaForm], m[MetaWork] = ", New: "m[\"umf.later\"] = \"x\"\n\t\tm[MetaForm], m[MetaWork] = "},
	{File: "bus/store/publish.go", Old: "\t\tscheme.HeaderMark:   ", New: "\t\t\"Umf-Later\":         []string{\"x\"},\n\t\tscheme.HeaderMark:   "},
	{File: "edge/internal/takeover/takeover.go", Old: "const requestForm = 1\n", New: "const requestForm = 2\n"},
	{File: "edge/internal/takeover/takeover.go", Old: "type Request struct {\n", New: "type Request struct {\n\tLater string `json:\"later\"`\n"},
	{File: "edge/internal/takeover/takeover.go", Old: "type Answer struct {\n", New: "type Answer struct {\n\tLater string `json:\"later\"`\n"},
	{File: "edge/contract.go", Old: "contractEvery = 30 * time.Second", New: "contractEvery = time.Second"},
	{File: "edge/storecheck.go", Old: "const raiseAfter = 5 * time.Minute", New: "const raiseAfter = 8 * time.Second" /* longer than these nodes drain */},
}

// This version is replaced by a later one, node by node, under load, with sessions going
// between the two: I1–I8 and L, R42. When no node of this version is left, entries are
// written in the later one's form: R75.
func TestRollingToLater(t *testing.T) {
	t.Parallel()
	later, err := harness.BuildChanged(t.TempDir(), "99.0.0", laterVersion)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	roll(t, bin.Hydrant, later, func(s *schedule) error {
		if err := sometime(func() error { return s.run.wantForm("4") }); err != nil {
			return err
		}
		return sometime(func() error { return s.run.wantEntries(`"v":4`) })
	})
}

// The version of the commit in .ci/base is replaced by this one, likewise: R42.
func TestRollingFromBase(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	commit, err := os.ReadFile(filepath.Join(root, ".ci", "base"))
	if err != nil {
		t.Fatal(err)
	}
	base, err := harness.BuildCommit(t.TempDir(), strings.TrimSpace(string(commit)))
	if errors.Is(err, harness.ErrNoCommit) {
		t.Skip("TestRollingToLater is all that can be tried here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	roll(t, base, bin.Hydrant, func(s *schedule) error { return s.run.wantForm("3") })
}

// roll runs nodes of the binary before, which are replaced by those of the one after: the
// first before there are clients, another one forth and back, as when somebody has doubts.
func roll(t *testing.T, before, after string, then func(*schedule) error) {
	cfg := Config{Clients: *clients, Rate: 4 * *clients,
		binary: func(node int) string {
			if node == 0 {
				return after
			}
			return before
		},
		measure: func(s *schedule) error {
			moving, stop := context.WithCancel(context.Background())
			s.running.Go(func() { s.move(moving) })
			others := s.run.nodes[1:]
			err := errors.Join(s.replace(others[0], after), s.replace(others[0], before))
			for i, n := range others {
				if i == len(others)-1 {
					err = errors.Join(err, s.run.wantForm("3")) // which the last one before knows
				}
				err = errors.Join(err, s.replace(n, after))
			}
			if err == nil {
				err = then(s)
			}
			stop()
			s.running.Wait()
			return err
		},
	}
	report, _ := judge(t, cfg)
	if report.Contests == 0 || report.Resumes < 2*cfg.Clients {
		t.Errorf("hardly any session moved: %v", report)
	}
}

// move has clients go to other nodes until ctx ends, while their sockets live or not.
func (s *schedule) move(ctx context.Context) {
	for ctx.Err() == nil {
		nap(ctx, s.between(50*time.Millisecond, 200*time.Millisecond))
		if s.random.IntN(5) == 0 {
			s.late()
		} else {
			s.order()
		}
	}
}

// replace drains a node, and starts another binary on its addresses.
func (s *schedule) replace(n *node, binary string) error {
	for !n.claim() { // it is being measured
		nap(context.Background(), time.Millisecond)
	}
	defer n.release()
	f := s.note("replace node", n.name)
	ctx, cancel := context.WithTimeout(context.Background(), 2*terminatePatience)
	defer cancel()
	if err := n.process.Terminate(ctx); err != nil {
		return fmt.Errorf("%s does not drain: %w", n.name, err)
	}
	n.process.Upgrade(binary)
	if err := n.process.Start(); err != nil {
		return err
	}
	if err := n.process.WaitReady(ctx); err != nil {
		return err
	}
	f.bit("another one is ready")
	s.hold(2*time.Second, 3*time.Second)
	return nil
}

var errForm = errors.New("the form of entries is another")

// form is what the directory's stream names.
func (r *run) form() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stream, err := r.js.Stream(ctx, "KV_UMF_SESSIONS")
	if err != nil {
		return "", err
	}
	return stream.CachedInfo().Config.Metadata["umf.form"], nil
}

func (r *run) wantForm(want string) error {
	if form, err := r.form(); form != want {
		return errors.Join(fmt.Errorf("%w: %q, want %s", errForm, form, want), err)
	}
	return nil
}

// wantEntries returns nil when all clients' entries have a text.
func (r *run) wantEntries(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	bucket, err := r.js.KeyValue(ctx, "UMF_SESSIONS")
	if err != nil {
		return err
	}
	for _, c := range r.clients {
		entry, err := bucket.Get(ctx, c.session())
		if err != nil {
			return err
		}
		if !json.Valid(entry.Value()) || !strings.Contains(string(entry.Value()), text) {
			return fmt.Errorf("%w: %s", errForm, entry.Value())
		}
	}
	return nil
}
