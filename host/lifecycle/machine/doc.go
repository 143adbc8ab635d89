// Package machine decides for one host which models are loaded, unloaded, waited for and refused: a state machine that
// takes events and answers effects (Machine.Step). It is pure: no goroutine, clock, network or disk; package lifecycle
// performs the effects and feeds their results back, and a simulator can do the same in virtual time. Given the same
// events at the same times, and the same Acquires and Releases between them, it answers the same.
//
// The way of a model (a model in any state may lose its catalog row, and then ends as soon as nothing of it is left):
//
//	          Wanted, offered          Estimated
//	Absent ----------------> Queued <-----------> Estimating
//	  ^                        |  ^                   |
//	  |     room: reserve,     |  | no room, runtime  | bad path, key
//	  |     evict, pull        v  | lost              v
//	  |                      Pulling ------------> Failed ----> Queued, when the retry is due
//	  |          on disk, memory there, its turn      ^
//	  |                        v                      |
//	  |                      Loading -----------------+
//	  |   larger than reserved |  \ as reserved
//	  |                        v   v
//	  |                     Sizing -> Loaded
//	  |                        |        | victim, removed, unused
//	  |                        v        v
//	  +---- unloaded -------- Draining <+
//
// Who asks. A model for which a request waits, or has been promised to come (a ticket: see Reserve), goes by the arrival of
// the first of them, and may evict everything that is idle and not pinned. All others are background (see background.go): they start only while no request is in the queue,
// and take free memory or replace what is worth less. The same attempt turns from one into the other as requests come
// and go.
//
// Who else. In a mesh (Config.Mesh) all loads are reserved here by the model's arbiter, which asks the place policy. What no
// request brings about its home does, and only while nobody else has a copy: it sizes the model and offers it to the arbiter
// (Offer), the most valuable first, a few at a time. Until a host takes it on, the model is on none. Requests never wait here for what another host could do at once: when a load fails, or the
// runtime goes, they are told so and go elsewhere.
//
// Who goes. Config.Order says what copies are worth, and is told everything that is known of them: rates of requests and
// load costs, which are remembered for as long as the catalog lists a model and for a while after, and how far the clock
// of evictions has advanced since a copy's last use. It cannot do harm: what it says is only an order, in which pinned
// copies, those in flight or loading, and in the background those that Envelope protects, are passed over. It is asked
// when copies are about to go, never while no order would help.
//
// Memory. Machine owns the ledger (package modelcache). A model reserves its expected size before it is pulled, so that
// victims are unloaded meanwhile; once it is on disk the reservation is set to what the bytes there say, and once it is
// loaded to what the runtime says. Whenever that does not fit any more it lets go of everything and queues again with
// what it has learned: nobody holds memory while waiting for some that nobody is about to give.
//
// Where to look:
//
//	machine, event, effect, config, model, heap   the frame
//	catalog     rows come, change and go; what becomes of a model at the end of each undertaking
//	ticket      arbiters reserve loads
//	mesh        what others hold, need and remember; the host leaves
//	queue       requests wait, are served and refused; whose turn it is
//	size        how much memory a model will take
//	load        estimate, reserve, pull, load, commit
//	rank        which copies go, on whose word, and what they are worth
//	evict       victims, drains, unloads, idle TTL
//	failure     back-off, and what requests are told
//	background  loads without a request
//	offers      which of them arbiters are asked to place
//	runtime     the runtime comes, dies, forgets
package machine
