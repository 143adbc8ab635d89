// Package gossip is who ought to be in the mesh and how to reach them, by hashicorp/memberlist (SWIM). It carries an
// identity and addresses per host, nothing that changes while the host runs.
//
// Every start of a host is a node of its own to memberlist (its name has the epoch and a nonce in it), so a host that
// comes back, at the same address or another, never has to wait for its former self to be declared dead. Directory is the
// layer above: of the nodes that claim one id, the newest is listed.
//
// memberlist encrypts with the key of the mesh and marks every message with mesh and namespace. What it refuses it only
// logs, and it trusts whoever has the key: some messages that are well encrypted would make it panic or take any amount of
// memory. So guard, around the transport, opens everything that arrives first, refuses what is not well formed, and
// counts what was refused and why.
//
// Package peers owns a Gossip. Its Events are called with memberlist's lock held: they must not call back.
package gossip
