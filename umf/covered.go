package umf

// uncovered are the fields that no signature covers, and the signature itself.
const uncovered = 1<<Signature | 1<<Priority | 1<<TTL | 1<<For

// KeepCovered takes away what no signature covers: unknown keys, priority, ttl and
// for, and the signature itself. Whoever has seen a signed message can add those to
// it. After [Keys.Verify] what remains is what was verified.
func (e *Envelope) KeepCovered() {
	if e.seen&uncovered == 0 && e.others == 0 {
		return
	}
	e.seen &^= uncovered
	e.others, e.short = 0, false
}
