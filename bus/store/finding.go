package store

import "fmt"

// Verdict is the outcome of a [Finding].
type Verdict uint8

const (
	OK   Verdict = iota
	Warn         // a node runs, but something is less than it could be
	Fail         // a node is not ready, or loses what it must not
)

func (v Verdict) String() string { return [...]string{"ok", "warn", "FAIL"}[v] }

// Finding is one thing that was looked at for an operator: by [Diagnose] and
// [CheckPermissions] whatever they looked at, in a [ContractError] a reason why
// the store cannot keep what it promises.
type Finding struct {
	Verdict Verdict
	// What was looked at, what was found, and what an operator can change;
	// Fix may be empty.
	What, Detail, Fix string
}

func (f Finding) String() string {
	line := fmt.Sprintf("%-4s %s: %s", f.Verdict, f.What, f.Detail)
	if f.Fix != "" {
		line += " → " + f.Fix
	}
	return line
}

// failures are those of findings that break the contract.
func failures(list []Finding) (failed []Finding) {
	for _, f := range list {
		if f.Verdict == Fail {
			failed = append(failed, f)
		}
	}
	return failed
}

// broken is a finding that breaks the contract: it wants something else.
func broken(what, want, have, fix string) Finding {
	return Finding{Fail, what, "want " + want + ", have " + have, fix}
}
