package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hydrant/integration/chaos"
	"hydrant/integration/harness"
)

// TestInto: the table in the guide is replaced, and nothing else.
func TestInto(t *testing.T) {
	name := filepath.Join(t.TempDir(), "guide.md")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# A\n" + tableBegins + "| old |\n" + tableEnds + "# B\n")
	for range 2 {
		if err := into(name, "| new |\n"); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := os.ReadFile(name); string(got) != "# A\n"+tableBegins+"\n| new |\n\n"+tableEnds+"# B\n" {
		t.Errorf("%s", got)
	}
	for _, text := range []string{"", tableBegins, tableEnds, tableEnds + tableBegins} {
		write(text)
		if err := into(name, "x"); !errors.Is(err, errNoTable) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestGuideHasRecoveries: the guide has the table of all faults, as this command writes
// it.
func TestGuideHasRecoveries(t *testing.T) {
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "deploy", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(text), tableBegins)
	table, _, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends || !strings.Contains(table, chaos.RecoveryHead) {
		t.Fatalf("the table is not there: %s", table)
	}
	for _, fault := range chaos.Recoveries() {
		if !strings.Contains(table, "\n| "+fault+" | ") {
			t.Errorf("nothing about %q", fault)
		}
	}
}
