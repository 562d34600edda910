package stats

// word is the String of an enum with these words.
func word(words []string, i uint8) string {
	if int(i) < len(words) {
		return words[i]
	}
	return "unknown"
}

// Lifecycle is a step in the life of a session.
type Lifecycle uint8

const (
	Opened     Lifecycle = iota
	Parked               // its socket is gone, and it waits in the directory
	ParkFailed           // its last checkpoint stands
	Resumed              // on this node
	Released             // to another connection, which asked for it
	Doubted              // another node's marker was seen
	Lost                 // to another owner, which did not reach this node
	Expired              // its time is over, or the directory has lost it

	numLifecycles
)

var lifecycleWords = [numLifecycles]string{"opened", "parked", "park_failed", "resumed", "released", "doubted", "lost", "expired"}

// String returns the metric label.
func (l Lifecycle) String() string { return word(lifecycleWords[:], uint8(l)) }

// Drop says what a bound or a rule of the node dropped or refused. Connections
// that the connection layer drops have wire.Drop.
type Drop uint8

const (
	DropBadOrder         Drop = iota // an order of another node that cannot be read
	DropClientLog                    // the oldest entry of the clients' log
	DropDirectoryCleanup             // a write to the directory that tidies up
	DropDirectoryFull                // a client that was given no fresh session, for want of room
	DropEarlyPong                    // a pong to a Ping that has not left: it proves nothing
	DropExpiry                       // word of a session's expiry
	DropGivenAway                    // an answer that a loop remembers of a session it gave away
	DropGuessTable                   // the count of guesses of all addresses
	DropGuesses                      // a client that guessed too many ids
	DropHost                         // a request to the administrators' listener under a name that is not its own
	DropLateAnswer                   // an answer to a request whose client was gone
	DropLiveQueue                    // live copies; they are read from the store
	DropAccounts                     // the accounts of senders that are not connected
	DropLookUp                       // a message for a session that is being looked up
	DropMailShare                    // a message whose sender has its share of the mailbox
	DropMailTable                    // what is known of senders' shares of mailboxes
	DropNATSQueue                    // messages on a queue of nats.go
	DropOpenTimeout                  // a client whose session could not be opened in time
	DropOrigin                       // a client from an origin that is not allowed
	DropPushSlow                     // a push past the mailbox to a client that does not read
	DropRate                         // a client, or a request, above the rate of its user or address
	DropReplayTable                  // a signed message that could be a repetition
	DropResumes                      // a client that resumed again and again
	DropRoutes                       // a route of a service: there are too many
	DropSessionList                  // the end of list/wsdir
	DropSlow                         // a client that does not read
	DropUnused                       // a client from where too many sessions came to nothing
	DropUnchecked                    // a client of whom it could not be found out who it is

	numDrops
)

var dropWords = [numDrops]string{
	DropBadOrder:         "bad_order",
	DropClientLog:        "client_log",
	DropDirectoryCleanup: "directory_cleanup",
	DropDirectoryFull:    "directory_full",
	DropEarlyPong:        "early_pong",
	DropExpiry:           "expiry",
	DropGivenAway:        "given_away",
	DropGuessTable:       "guess_table",
	DropGuesses:          "guesses",
	DropHost:             "host",
	DropLateAnswer:       "late_answer",
	DropLiveQueue:        "live_queue",
	DropAccounts:         "accounts",
	DropLookUp:           "look_up",
	DropMailShare:        "mail_share",
	DropMailTable:        "mail_table",
	DropNATSQueue:        "nats_queue",
	DropOpenTimeout:      "open_timeout",
	DropOrigin:           "origin",
	DropPushSlow:         "push_slow",
	DropRate:             "rate",
	DropReplayTable:      "replay_table",
	DropResumes:          "resumes",
	DropRoutes:           "routes",
	DropSessionList:      "session_list",
	DropSlow:             "slow",
	DropUnused:           "unused",
	DropUnchecked:        "unchecked",
}

// String returns the metric label.
func (d Drop) String() string { return word(dropWords[:], uint8(d)) }

// TokenWay is how a token of administrators came.
type TokenWay uint8

const (
	TokenHTTP      TokenWay = iota // to the clients' port
	TokenWebSocket                 // in aut of a message
	TokenAdmin                     // to the administrators' listener

	numTokenWays
)

var tokenWayWords = [numTokenWays]string{"http", "websocket", "admin"}

// String returns the metric label.
func (w TokenWay) String() string { return word(tokenWayWords[:], uint8(w)) }

// Request is how a [METHOD] request ended.
type Request uint8

const (
	RequestAnswered Request = iota
	RequestTimeout
	RequestFailed  // NATS did not take it
	RequestRefused // too many wait

	numRequests
)

var requestWords = [numRequests]string{"answered", "timeout", "failed", "refused"}

// String returns the metric label.
func (r Request) String() string { return word(requestWords[:], uint8(r)) }

// Write is how a write to the directory ended.
type Write uint8

const (
	WriteOK     Write = iota
	WriteFenced       // somebody else has written since
	WriteBusy         // another write was on its way
	WriteError

	numWrites
)

var writeWords = [numWrites]string{"ok", "fenced", "busy", "error"}

// String returns the metric label.
func (w Write) String() string { return word(writeWords[:], uint8(w)) }

// Read is how a read of a mailbox ended.
type Read uint8

const (
	ReadOK Read = iota
	ReadError

	numReads
)

var readWords = [numReads]string{"ok", "error"}

// String returns the metric label.
func (r Read) String() string { return word(readWords[:], uint8(r)) }

// Op is an operation on NATS or JetStream.
type Op uint8

const (
	// Those of a loop, which its outbox performs.

	OpPublish     Op = iota // core NATS publish
	OpStore                 // acknowledged publish to a mailbox
	OpMark                  // marker into a mailbox
	OpSubscribe             // to the live subject of a session
	OpUnsubscribe           //
	OpSave                  // directory entry, compare-and-swap
	OpWork                  // acknowledged publish to a work queue
	OpEvent                 // session event, at most once
	OpOnce                  // note that a signed message was seen

	// Those of the pool, which waits for answers.

	OpRead   // of a mailbox
	OpLookUp // of a session in the directory
	OpSweep  // the last sequences of many mailboxes

	numOps
)

var opWords = [numOps]string{"publish", "store", "mark", "subscribe", "unsubscribe", "save", "work", "event", "once", "read", "look_up", "sweep"}

// String returns the metric label.
func (o Op) String() string { return word(opWords[:], uint8(o)) }

// NATSEvent is something that the connection to NATS, or a stream, tells.
type NATSEvent uint8

const (
	NATSDisconnected NATSEvent = iota
	NATSReconnected
	NATSLeader // a stream has a new one
	NATSError
	NATSClosed // nats.go has given the connection up, and the node dials anew
	NATSMoved  // the node has left a server that acknowledged nothing

	numNATSEvents
)

var natsEventWords = [numNATSEvents]string{"disconnected", "reconnected", "leader", "error", "closed", "moved"}

// String returns the metric label.
func (e NATSEvent) String() string { return word(natsEventWords[:], uint8(e)) }

// Part is what a node can wait for before it takes clients.
type Part uint8

const (
	PartNATS     Part = iota // a connection
	PartStore                // streams and bucket as they must be
	PartAcks                 // acknowledgements, over a connection that is there
	PartKeys                 // keys to check tokens with
	PartListener             // of clients
	PartMemory               // room in it
	PartBuffers              // room in the part of it that is for messages under way
	PartDrain                // nothing more: the node leaves

	numParts
)

var partWords = [numParts]string{"nats", "store", "acks", "keys", "listener", "memory", "buffers", "drain"}

// String returns the metric label.
func (p Part) String() string { return word(partWords[:], uint8(p)) }

// Shed is what a node does to a client for lack of memory.
type Shed uint8

const (
	ShedRefused Shed = iota
	ShedClosed

	numSheds
)

var shedWords = [numSheds]string{"refused", "closed"}

// String returns the metric label.
func (s Shed) String() string { return word(shedWords[:], uint8(s)) }

// StorePart is what shares the bytes of the store.
type StorePart uint8

const (
	StoreMailboxes StorePart = iota
	StoreWork
	StoreSessions

	numStoreParts
)

var storePartWords = [numStoreParts]string{"mailboxes", "work", "sessions"}

// String returns the metric label.
func (p StorePart) String() string { return word(storePartWords[:], uint8(p)) }

// TailEnd says why a node keeps nothing more for a session that it has parked.
type TailEnd uint8

const (
	TailOver         TailEnd = iota // its time is over
	TailTakenOver                   // another connection has the session
	TailReplaced                    // the session was here again
	TailFull                        // there is no room for a copy: what there is stays good
	TailBroken                      // a copy has not come: what there is stays good
	TailWentBack                    // the store may have gone back
	TailDisconnected                // the connection to NATS was lost
	TailLeader                      // its stream has a new leader
	TailMemory                      // the node is short of memory
	TailNoRoom                      // there were too many, so that it did not begin

	numTailEnds
)

var tailEndWords = [numTailEnds]string{"over", "taken_over", "replaced", "full", "broken", "went_back", "disconnected", "leader", "memory", "no_room"}

// String returns the metric label.
func (e TailEnd) String() string { return word(tailEndWords[:], uint8(e)) }

// PassEnd says how far mailboxes were read for many sessions together.
type PassEnd uint8

const (
	PassRead   PassEnd = iota // as far as it was needed
	PassFull                  // as far as there was room
	PassFailed                // NATS did not answer
	PassVoid                  // the connection was lost meanwhile, or the stream has a new leader

	numPassEnds
)

var passEndWords = [numPassEnds]string{"read", "full", "failed", "void"}

// String returns the metric label.
func (e PassEnd) String() string { return word(passEndWords[:], uint8(e)) }

// Source says where a message came from that a session is given after a resume, until
// it has everything.
type Source uint8

const (
	FromLive  Source = iota // it came meanwhile
	FromTail                // the node that has parked the session had kept it
	FromPass                // its mailbox was read together with others
	FromStore               // it was read by itself

	numSources
)

var sourceWords = [numSources]string{"live", "tail", "pass", "store"}

// String returns the metric label.
func (s Source) String() string { return word(sourceWords[:], uint8(s)) }
