package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// who are those that deploy/THREATS.md is about, in its order.
var who = []string{
	"An anonymous client", "A client that is let in", "A service in an account of its own", "A service in the shared account",
	"A node", "Somebody on the network", "An operator's browser",
}

// A threat is a line of deploy/THREATS.md: what somebody can do, or cannot.
type threat struct {
	who, sentence string
	tests         []string
}

// threats reads deploy/THREATS.md. Below the introduction of a heading there are rows and
// nothing else, each of a sentence and the tests that show it.
func threats(text string) (list []threat, err error) {
	heading, rows := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if next, ok := strings.CutPrefix(line, "## "); ok {
			heading, rows = next, false
			continue
		}
		cells, ok := strings.CutPrefix(line, "|")
		switch {
		case line == "", heading == "", !ok && !rows:
			continue
		case !ok:
			return nil, fmt.Errorf("%s: %q is no row", heading, line)
		case line == "|---|---|", line == "| | Shown by |":
			rows = true
			continue
		}
		sentence, shown, ok := strings.Cut(strings.TrimSuffix(cells, "|"), "|")
		t := threat{who: heading, sentence: strings.TrimSpace(sentence)}
		for _, name := range strings.Fields(shown) {
			match := testForm.FindStringSubmatch(name)
			if match == nil || match[0] != name {
				return nil, fmt.Errorf("%s: %q is no test", t.sentence, name)
			}
			t.tests = append(t.tests, match[1])
		}
		if !ok || len(t.tests) == 0 {
			return nil, fmt.Errorf("%s: %q names no test", heading, t.sentence)
		}
		list = append(list, t)
	}
	return list, nil
}

// TestThreats: each sentence on what somebody can do, or cannot, names tests that exist,
// and there is one of each about everybody.
func TestThreats(t *testing.T) {
	t.Parallel()
	root, text := ofModule(t, "deploy/THREATS.md")
	list, err := threats(text)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := testSources(root)
	if err != nil {
		t.Fatal(err)
	}
	can, cannot := make(map[string]bool), make(map[string]bool)
	var order []string
	for _, one := range list {
		if !slices.Contains(order, one.who) {
			order = append(order, one.who)
		}
		switch words := one.sentence; {
		case strings.HasPrefix(words, "It cannot "), strings.HasPrefix(words, "They cannot "):
			cannot[one.who] = true
		case strings.HasPrefix(words, "It can "), strings.HasPrefix(words, "They can "):
			can[one.who] = true
		default:
			t.Errorf("%s: %q does not say what it can or cannot", one.who, words)
		}
		for _, test := range one.tests {
			if missing := missingTest(test, sources); missing != "" {
				t.Errorf("%s: %s: %s", one.who, one.sentence, missing)
			}
		}
	}
	if !slices.Equal(order, who) {
		t.Errorf("it is about %q, and not %q", order, who)
	}
	for _, name := range who {
		if !can[name] || !cannot[name] {
			t.Errorf("%s: nothing of what it can, or of what it cannot", name)
		}
	}
}

// TestThreatLines keeps the reader honest.
func TestThreatLines(t *testing.T) {
	t.Parallel()
	const head = "# T\nText.\n## A node\nText of it.\n\n| | Shown by |\n|---|---|\n"
	list, err := threats(head + "| It can x | `bus.TestA` `edge/x.TestB/sub` |\n")
	if err != nil || len(list) != 1 || list[0].who != "A node" || list[0].sentence != "It can x" || !slices.Equal(list[0].tests, []string{"bus.TestA", "edge/x.TestB/sub"}) {
		t.Errorf("%+v, %v", list, err)
	}
	for _, wrong := range []string{"| It can x | |", "| It can x |", "| It can x | see bus |", "| It can x | bus.TestA |", "It can x.", "| It can x | `bus.TestA`, more |"} {
		if list, err := threats(head + wrong + "\n"); err == nil {
			t.Errorf("%q is read as %+v", wrong, list)
		}
	}
}
