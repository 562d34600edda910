package check

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The histories are written by hand. A good one breaks nothing; the name of a
// bad one starts with what it breaks, and it breaks nothing else.
func TestHistories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d histories, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		report, err := History(bytes.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, _, _ := strings.Cut(filepath.Base(name), "-")
		if want == "good" {
			if len(report.Violations) > 0 {
				t.Errorf("%s: %v", name, report.Violations)
			}
			continue
		}
		if len(report.Violations) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
		for _, v := range report.Violations {
			if v.Invariant != want {
				t.Errorf("%s: %v, want only %s", name, v, want)
			}
		}
	}
}

func TestReportCounts(t *testing.T) {
	text, err := os.ReadFile("testdata/good-run.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	report, err := History(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if report.Seed != 7 || report.Sessions != 3 || report.Sent != 8 || report.Accepted != 7 || report.Delivered != 6 ||
		report.Repeated["kill node"] != 1 || report.Gaps != 1 || report.Resumes != 2 || report.Faults["kill node"] != 1 {
		t.Errorf("report %v", report)
	}
}

func TestHistoriesThatMakeNoSense(t *testing.T) {
	for _, text := range []string{
		`{`, `{"ev":"nonsense"}`,
		`{"ev":"stored","mid":"never-sent"}`, `{"ev":"recv","conn":9}`, `{"ev":"gap","conn":9}`,
		`{"ev":"send","mid":"a"}` + "\n" + `{"ev":"send","mid":"a"}`,
	} {
		if report, err := History(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %v", text, report)
		}
	}
}

// A flood of violations does not flood the report.
func TestReportIsBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"ev":"open","conn":1,"sid":"s","class":"plain"}` + "\n")
	for range keptViolations + 10 {
		text.WriteString(`{"ev":"recv","conn":1,"sid":"s","mid":"m","for":"other"}` + "\n")
	}
	report, err := History(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Violations) != keptViolations || report.Suppressed == 0 {
		t.Errorf("%d violations and %d more", len(report.Violations), report.Suppressed)
	}
}
