package meter

// The first pass over a function: it checks the code and decides where to charge how much.
//
// A block of code without branches in or out of its middle is charged where it begins, before it runs. Blocks that are
// executed equally often are charged together at the first of them: the code after an `if` or `block` that no branch
// leaves for farther out is executed whenever the code before it is, unless something traps or does not return in
// between. And the two arms of an `else` are charged their common part before the condition. So what a completed call
// is charged is exactly the number of instructions it executed, and what a trapped one is charged is never less.

// point is a place in the code where a charge may be written.
type point struct {
	offset int    // in the function's code, after the instruction that begins the block
	cost   uint64 // units; 0: nothing is written
	test   bool   // a loop's head to which the loop branches back: always tested
}

// Structured control instructions; frameFunction is the body as a whole.
const (
	frameFunction = iota
	frameBlock
	frameLoop
	frameIf
	frameElse
)

// frame is an open block of the control stack.
type frame struct {
	kind byte
	// entry is the point that pays for the code right before the block; deadCode if that code cannot be reached.
	entry int
	head  int // the point of the innermost loop's head, or the function's entry
	then  int // if, else: the point of the first arm
	other int // else: the point of the second arm
	// reach is the outermost frame that a branch from inside leads to; its own index or more if none leaves the block.
	reach    int
	targeted bool
}

const deadCode = -1

// planner builds the points of one function.
type planner struct {
	decoder
	mode   Mode
	frames []frame
	points []point
	now    int // the point that pays for the next instruction; deadCode if it cannot be reached
	// branches and loops of the function so far, see Limits.
	branches, loops int
	// large sums up the functions so far, see Limits.MaxLargeFunctions.
	large float64
}

// entryCost is charged for a call besides its instructions: the frame, whose values engines clear or copy.
func entryCost(t FuncType, locals int) uint64 {
	return 1 + uint64(len(t.Params)+len(t.Results)+locals)/8
}

// plan checks the function's code and fills p.points, in the order of the code. The first point is the entry.
func (p *planner) plan(entry uint64) {
	p.branches, p.loops = 0, 0
	p.frames = append(p.frames[:0], frame{kind: frameFunction})
	p.points = append(p.points[:0], point{cost: entry, test: true})
	p.now = 0
	for len(p.frames) > 0 && p.next() {
		p.step()
	}
	if !p.failed() && p.left() > 0 {
		p.refuse(RuleFormat, "%d bytes after the end of the code", p.left())
	}
	p.weighWhole()
}

// pay charges the current instruction.
func (p *planner) pay(units uint64) {
	if p.now != deadCode {
		p.points[p.now].cost += units
	}
}

// split begins a block at the current position. Coarse metering has no blocks but loops' heads.
func (p *planner) split(reachable bool) int {
	if !reachable {
		return deadCode
	}
	if p.mode != Exact {
		return p.frames[len(p.frames)-1].head
	}
	p.points = append(p.points, point{offset: p.pos})
	return len(p.points) - 1
}

func (p *planner) step() {
	switch p.op {
	case opBlock, opLoop, opIf:
		p.open()
	case opElse:
		p.elseArm()
	case opEnd:
		p.end()
	case opBr:
		p.pay(1)
		p.branch(p.a)
		p.now = deadCode
	case opBrIf:
		p.pay(1)
		p.branch(p.a)
		p.now = p.split(p.now != deadCode)
	case opBrTable:
		p.pay(1)
		for _, t := range p.targets {
			p.branch(t)
		}
		p.branch(p.a)
		p.now = deadCode
	case opReturn:
		p.pay(1)
		p.branch(uint32(len(p.frames) - 1))
		p.now = deadCode
	case opUnreachable:
		p.pay(1)
		p.now = deadCode
	case 0x01: // nop
	case opMemoryGrow:
		p.pay(leaveUnits)
	case opMisc:
		if p.sub == miscTableGrow {
			p.pay(leaveUnits)
			return
		}
		p.pay(1)
	default:
		p.pay(1)
	}
}

// weigh counts a branch, or a block, and refuses a function that would take too long to compile.
func (p *planner) weigh() {
	p.branches++
	l := &p.src.limits
	switch {
	case p.branches > l.MaxBranches:
		p.refuse(RuleLimit, "more than the %d allowed blocks and branches", l.MaxBranches)
	case p.branches*p.locals > l.MaxBranchLocals:
		p.refuse(RuleLimit, "%d blocks and branches with %d locals: their product exceeds the %d allowed", p.branches, p.locals, l.MaxBranchLocals)
	case p.loops*max(p.locals, 16) > l.MaxLoopLocals:
		p.refuse(RuleLimit, "%d loops with %d locals: their product exceeds the %d allowed", p.loops, p.locals, l.MaxLoopLocals)
	}
}

// weighWhole counts a function, and refuses a module that would take too long to compile.
func (p *planner) weighWhole() {
	l := &p.src.limits
	share := float64(p.branches)/float64(l.MaxBranches) +
		float64(p.branches*p.locals)/float64(l.MaxBranchLocals) +
		float64(p.loops*max(p.locals, 16))/float64(l.MaxLoopLocals)
	p.large += share * share
	if p.large > float64(l.MaxLargeFunctions) {
		p.refuse(RuleLimit, "together with the functions before it, it has more blocks, branches, loops and locals than the %d largest functions that are allowed", l.MaxLargeFunctions)
	}
}

// branch notes a branch to a label, counted from the innermost block outward.
func (p *planner) branch(label uint32) {
	p.weigh()
	if uint64(label) >= uint64(len(p.frames)) {
		p.refuse(RuleIndex, "branch to label %d of %d", label, len(p.frames))
		return
	}
	if p.now == deadCode {
		return
	}
	target := len(p.frames) - 1 - int(label)
	top := &p.frames[len(p.frames)-1]
	top.reach = min(top.reach, target)
	f := &p.frames[target]
	f.targeted = true
	if f.kind == frameLoop {
		p.points[f.head].test = true
	}
}

func (p *planner) open() {
	if p.op == opLoop {
		p.loops++
	}
	p.weigh()
	if len(p.frames) > p.src.limits.MaxNesting {
		p.refuse(RuleLimit, "blocks nested deeper than the %d allowed", p.src.limits.MaxNesting)
		return
	}
	f := frame{kind: frameBlock, entry: p.now, head: p.frames[len(p.frames)-1].head, reach: len(p.frames)}
	switch p.op {
	case opLoop:
		f.kind = frameLoop
		if p.now != deadCode {
			p.points = append(p.points, point{offset: p.pos})
			p.now = len(p.points) - 1
		}
		f.head = p.now
	case opIf:
		f.kind = frameIf
		p.pay(1)
		p.now = p.split(p.now != deadCode)
		f.then = p.now
	}
	p.frames = append(p.frames, f)
}

func (p *planner) elseArm() {
	f := &p.frames[len(p.frames)-1]
	if f.kind != frameIf {
		p.refuse(RuleFormat, "else without if")
		return
	}
	f.kind = frameElse
	p.now = p.split(f.entry != deadCode)
	f.other = p.now
}

func (p *planner) end() {
	last := len(p.frames) - 1
	f := p.frames[last]
	p.frames = p.frames[:last]
	if last == 0 {
		return
	}
	if up := &p.frames[last-1]; f.reach < up.reach {
		up.reach = f.reach
	}
	switch {
	case f.entry == deadCode:
		p.now = deadCode
	case p.mode != Exact:
		p.now = p.frames[last-1].head
	default:
		p.endExact(f, f.reach < last)
	}
}

// endExact finds the point that pays for the code after a block; leaves tells whether a branch from inside the block
// leads beyond its end.
func (p *planner) endExact(f frame, leaves bool) {
	if f.kind == frameElse {
		common := min(p.points[f.then].cost, p.points[f.other].cost)
		p.points[f.then].cost -= common
		p.points[f.other].cost -= common
		p.points[f.entry].cost += common
	}
	switch {
	case !leaves:
		p.now = f.entry
	case f.kind == frameIf || f.kind == frameElse || f.targeted && f.kind == frameBlock:
		p.now = p.split(true)
	}
	// Otherwise the end can only be reached from right before it.
}
