package umf

// Set is a field to put into a message when it is re-emitted: Raw is its new
// value as JSON; nil removes the field. Of several for one field the last
// counts.
type Set struct {
	Field Field
	Raw   []byte
}

// AppendShort appends the message in short form, with the fields of set in the
// place of its own. Values are copied as they were received.
//
// If the message is short already (see [Envelope.IsShort]), the result is its
// own bytes with the new values spliced in, and fields that it did not have at
// the end. Otherwise keys are written in the order of the Field constants,
// unknown keys after them in the order received. Each key is written once, so
// that the result can be read in one way only. After the signature was verified
// that also holds inside values: a value with a key twice in it is written as it
// was signed.
//
// With enough room in dst nothing is allocated, unless a message that is not
// short has more than a handful of unknown keys.
func (e *Envelope) AppendShort(dst []byte, set ...Set) []byte {
	if len(e.text) > 0 && e.short && e.repeats == 0 && !e.removes(set) {
		return e.appendSpliced(dst, set)
	}
	return e.appendRewritten(dst, set)
}

// removes reports whether set takes away a field that the message has.
func (e *Envelope) removes(set []Set) bool {
	for i := range set {
		if set[i].Raw == nil && e.Has(set[i].Field) {
			return true
		}
	}
	return false
}

// appendSpliced copies the text, but for the values of fields in set.
func (e *Envelope) appendSpliced(dst []byte, set []Set) []byte {
	done := uint32(0)
	for {
		next := e.nextSplice(set, done)
		if next < 0 {
			break
		}
		s := e.values[set[next].Field]
		dst = append(dst, e.text[done:s.start]...)
		dst = append(dst, set[next].Raw...)
		done = s.end
	}
	last := uint32(len(e.text) - 1)
	dst = append(dst, e.text[done:last]...)
	empty := e.seen == 0 && e.others == 0
	for i := range set {
		if e.Has(set[i].Field) || set[i].Raw == nil || findSet(set, set[i].Field) != i {
			continue
		}
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		dst = append(dst, fieldNames[set[i].Field].shortMember...)
		dst = append(dst, set[i].Raw...)
	}
	return append(dst, '}')
}

// nextSplice returns the index in set of the first field at or after from in
// the text, -1 if there is none. Sets are few: searching beats sorting.
func (e *Envelope) nextSplice(set []Set, from uint32) int {
	next := -1
	for i := range set {
		if !e.Has(set[i].Field) || e.values[set[i].Field].start < from {
			continue
		}
		if next < 0 || e.values[set[i].Field].start <= e.values[set[next].Field].start {
			next = i
		}
	}
	return next
}

// findSet returns the index of the last entry for f, -1 if there is none.
func findSet(set []Set, f Field) int {
	for i := len(set) - 1; i >= 0; i-- {
		if set[i].Field == f {
			return i
		}
	}
	return -1
}

// appendRewritten writes every member anew.
func (e *Envelope) appendRewritten(dst []byte, set []Set) []byte {
	open := len(dst)
	for f := range fieldCount {
		raw := e.Raw(f)
		i := findSet(set, f)
		if i >= 0 {
			raw = set[i].Raw
		}
		if raw == nil {
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, fieldNames[f].shortMember...)
		if i < 0 && e.repeats&(1<<f) != 0 {
			dst, _ = appendCanonicalValue(dst, raw)
		} else {
			dst = append(dst, raw...)
		}
	}
	if e.others > 0 {
		dst = e.appendUnknown(dst)
	}
	if len(dst) == open {
		return append(dst, '{', '}')
	}
	dst[open] = '{' // in the place of the first comma
	return append(dst, '}')
}

// appendUnknown appends the members whose keys UMF does not define, each after
// a comma: of equal keys the last value in the place of the first.
func (e *Envelope) appendUnknown(dst []byte) []byte {
	e.eachUnknown(func(key, value []byte) {
		dst = append(dst, ',')
		dst = append(dst, key...)
		dst = append(dst, ':')
		dst = append(dst, value...)
	})
	return dst
}
