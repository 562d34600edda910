package scheme

import (
	"slices"
	"strings"
	"time"
)

// Permissions are the subjects that a NATS user may publish and subscribe to;
// the server denies everything else.
type Permissions struct {
	Publish, Subscribe []string
	// Responses is how often it may answer one request, wherever that wants its
	// answers (allow_responses of nats-server); 0: not at all. Within is for how long.
	Responses int
	Within    time.Duration
}

// NodePermissions is all that the user of edge nodes with this number of
// mailbox streams needs: the scheme's subjects, the part of the JetStream API
// that reads the store's streams, and service discovery. To make streams is not
// among it: see [SetupPermissions]. It names each stream, since NATS compares
// whole tokens and a wildcard would open the streams of others.
func NodePermissions(streams int) Permissions {
	p := Permissions{
		Publish: []string{
			PrefixService + "*", PrefixInstance + "*.*", PrefixOut + "*.*", PrefixWork + "*",
			PrefixNode + "*", PrefixEvent + "*.*.*",
			PrefixReply + "*.*.*.*", // CheckContract's probe
			SessionKeyPrefix + "*", PrefixExpiry + "*.*",
			"$SRV.INFO", "$SRV.STATS",
			APIPrefix + "INFO", APIConsumerNames + WorkStream, // who has registered a work queue
		},
		Subscribe: []string{
			PrefixLive + "*.*.*", PrefixGone + "*.*", PrefixReply + "*.>", PrefixRequest + "*.>", PrefixNode + "*", ExistsWildcard,
			"$SRV.PING", "$SRV.PING.>", "$SRV.INFO", "$SRV.INFO.>", "$SRV.STATS", "$SRV.STATS.>",
			NodeInbox + ".>", AdvisoryLeader + "*",
		},
		Responses: 1, Within: 10 * time.Second, // to other nodes and to discovery
	}
	for _, stream := range StreamNames(streams) {
		p.Publish = append(p.Publish, APIStreamInfo+stream)
		switch stream {
		case WorkStream, ExpiryStream: // nodes only write to them
		case SessionStream:
			p.Publish = append(p.Publish, APIMsgGet+stream, APIDirectGet+stream, APIDirectGet+stream+".>")
		default:
			p.Publish = append(p.Publish, APIMsgGet+stream, APIDirectGet+stream)
		}
	}
	return p
}

// SetupPermissions is all that the user needs that makes and updates streams and
// bucket, and registers work queues. Each is for one stream, or one consumer of it,
// since it is given to who installs, and not to what serves clients.
func SetupPermissions(streams int) Permissions {
	p := Permissions{
		Publish: []string{
			APIPrefix + "INFO",
			"$SRV.INFO", // which nodes run: see [RollingForm]
			APIConsumerCreate + WorkStream + ".*." + PrefixWork + "*", APIConsumerNames + WorkStream,
		},
		Subscribe: []string{InboxPrefix(UserSetup) + ".>"},
	}
	for _, stream := range StreamNames(streams) {
		p.Publish = append(p.Publish, APIStreamInfo+stream, APIStreamCreate+stream, APIStreamUpdate+stream)
	}
	return p
}

// ServicePermissions is all that the user of a service needs, whose API of JetStream
// has this prefix. It can reach every session, which is what a service is for; of other
// services it can neither take nor send messages, but for calls. What clients asked it
// is answered by Responses alone.
func ServicePermissions(service Service, api string) Permissions {
	return servicePermissions(string(service), string(service), api)
}

// OwnServicePermissions is all that services need of the server inside a node, where they
// are one user. They can take each other's messages; else it is as with
// [ServicePermissions].
func OwnServicePermissions() Permissions { return servicePermissions("*", UserService, APIPrefix) }

// OwnNodePermissions is all that nodes need of the server inside one of them, what they
// make there, and what tools ask that are run beside it.
func OwnNodePermissions(streams int) Permissions {
	p := NodePermissions(streams)
	for _, subject := range SetupPermissions(streams).Publish {
		if !slices.Contains(p.Publish, subject) {
			p.Publish = append(p.Publish, subject)
		}
	}
	p.Publish = append(p.Publish, apiStreamNames) // a list of sessions
	for _, stream := range StreamNames(streams) {
		if strings.HasPrefix(stream, OutStreamPrefix) {
			p.Publish = append(p.Publish, APIConsumerCreate+stream+".*."+PrefixOut+"*.*", apiConsumerDelete+stream+".*")
		}
	}
	return p
}

// servicePermissions are those of services of a name, or of all ("*"), with a user.
func servicePermissions(name, user, api string) Permissions {
	p := Permissions{
		Publish: []string{
			PrefixOut + "*.*", PushedWildcard,
			PrefixWork + "*", PrefixCall + "*", ExistsWildcard, PrefixDead + name,
			EdgeAPIPrefix + apiConsumerInfo + WorkStream + "." + name, // asked in any case, to know which it is
			api + apiConsumerNext + WorkStream + "." + name,
			AckPrefix + WorkStream + "." + name + ".>",
		},
		Subscribe: []string{
			PrefixService + name, PrefixInstance + name + ".*", PrefixCall + name, PrefixEvent + "*.*.*",
			"$SRV.PING", "$SRV.INFO", "$SRV.STATS", "$SRV.*." + name, "$SRV.*." + name + ".*",
			InboxPrefix(user) + ".>",
		},
		Responses: 16, Within: time.Minute, // what comes twice counts twice
	}
	if api != EdgeAPIPrefix {
		p.Publish = append(p.Publish, api+apiConsumerInfo+WorkStream+"."+name)
	}
	return p
}
