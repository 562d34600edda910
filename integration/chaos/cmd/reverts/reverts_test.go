package main

import (
	"go/parser"
	"go/token"
	"testing"

	"hydrant/integration/chaos"
	"hydrant/integration/harness"
)

// Each mend is where the list says, and what is left without it can be read.
func TestReverts(t *testing.T) {
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	_, scenarios := chaos.Scenarios()
	for _, r := range reverts {
		replace, err := r.apply(root, t.TempDir())
		if err != nil {
			t.Error(err)
		}
		for name, file := range replace {
			if _, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution); err != nil {
				t.Errorf("%s: %s: %v", r.name, name, err)
			}
		}
		if r.run[0] == "-scenario" && scenarios[r.run[1]] == "" {
			t.Errorf("%s: no scenario %s", r.name, r.run[1])
		}
	}
}

func TestFound(t *testing.T) {
	kinds := found("seed 7: …\n   I3 line 5: socket 1\n   4501 line 7: socket 2\n   I3 line 9: socket 3\n")
	if len(kinds) != 2 || kinds[0] != "4501" || kinds[1] != "I3" {
		t.Errorf("%v", kinds)
	}
}
