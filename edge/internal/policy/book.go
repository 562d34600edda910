package policy

import "sync"

// maxCompiled bounds the rule sets that a book keeps.
const maxCompiled = 1024

// Book compiles the rule sets of a node's clients, each distinct text once. Safe for
// concurrent use.
type Book struct {
	// Immutable after NewBook.
	closed    string  // the service that no client reaches
	base      *Rules  // where a client has none of its own
	anonymous *Rights // base, for clients without identity

	// Guarded by mu.
	mu       sync.Mutex
	compiled map[string]*Rules
}

// NewBook returns the rules of a node. text holds for clients that have no rule set
// of their own; "" is open. closed is the service that no client reaches. Errors
// wrap [ErrRules].
func NewBook(text, closed string) (*Book, error) {
	b := &Book{closed: closed, base: open, compiled: make(map[string]*Rules)}
	if text != "" {
		rules, err := Parse(text)
		if err != nil {
			return nil, err
		}
		b.base = rules
	}
	b.anonymous = &Rights{rules: b.base, closed: closed}
	return b, nil
}

// Rights returns what a client may do. text is the rule set that its token or the
// authentication service gave it, "" if there was none. Errors wrap [ErrRules]: the
// client is to be refused.
func (b *Book) Rights(text, identity string) (*Rights, error) {
	if text == "" {
		if identity == "" {
			return b.anonymous, nil
		}
		return &Rights{rules: b.base, closed: b.closed, identity: identity}, nil
	}
	rules, err := b.compile(text)
	if err != nil {
		return nil, err
	}
	return &Rights{rules: rules, closed: b.closed, identity: identity}, nil
}

// Operator returns the rights of who runs the node.
func (b *Book) Operator() *Rights { return &Rights{rules: open, closed: b.closed} }

// compile reads a rule set that may have been read before. A book that is full
// begins anew: clients keep what they have.
func (b *Book) compile(text string) (*Rules, error) {
	b.mu.Lock()
	rules := b.compiled[text]
	b.mu.Unlock()
	if rules != nil {
		return rules, nil
	}
	rules, err := Parse(text) // without the lock
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if first := b.compiled[text]; first != nil {
		return first, nil
	}
	if len(b.compiled) >= maxCompiled {
		clear(b.compiled)
	}
	b.compiled[text] = rules
	return rules, nil
}
