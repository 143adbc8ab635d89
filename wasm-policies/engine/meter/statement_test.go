package meter_test

// statement writes code that leaves the stack as it was.
func (g *program) statement(depth int) {
	g.budget--
	choice := g.pick(20)
	if depth > 4 || g.budget < 0 {
		return
	}
	depth++
	switch choice {
	case 0:
		g.raw(0x01) // nop
	case 1:
		g.expression(i32, depth)
		g.op(0x21, localC)
	case 2:
		g.expression(i64, depth)
		g.op(0x21, localD)
	case 3:
		g.expression(f64, depth)
		g.op(0x21, localF)
	case 4:
		g.expression(i32, depth)
		g.op(0x24, 0)
	case 5:
		g.expression(i64, depth)
		g.op(0x24, 1)
	case 6, 7:
		g.address(depth)
		g.expression(i32, depth)
		g.op(0x36, 2, uleb(g.pick(100)))
	case 8, 9:
		g.loop(depth)
	case 10, 11:
		g.open(0x02, 0x40, nil, false)
		g.statements(depth)
		g.close()
	case 12, 13:
		g.ifOnly(depth)
	case 14, 15:
		g.conditionalBranch(depth)
	case 16:
		g.branchTable(depth)
	case 17:
		g.bulkStatement(depth)
	case 18:
		g.op(0x10, 1) // host.tick
	case 19:
		g.rare(depth)
	}
}

func (g *program) statements(depth int) {
	for range 1 + g.pick(3) {
		g.statement(depth)
	}
}

func (g *program) ifOnly(depth int) {
	g.expression(i32, depth)
	g.count(1)
	g.open(0x04, 0x40, nil, false)
	g.statements(depth)
	if g.pick(4) == 1 {
		g.branchOut(depth)
	}
	if g.pick(2) == 1 {
		g.raw(0x05)
		g.statements(depth)
	}
	g.close()
}

// loop runs at most four times per entry, unless branches in it start it anew; the budget of the test stops that.
func (g *program) loop(depth int) {
	nesting := 0
	for _, l := range g.labels {
		if l.loop {
			nesting++
		}
	}
	if nesting >= maxLoops {
		return
	}
	counter := byte(localLoop + nesting)
	again := g.pick(2) == 1
	g.op(0x41, 0)
	g.op(0x21, counter)
	g.open(0x02, 0x40, nil, false)
	g.open(0x03, 0x40, nil, true)
	g.statements(depth)
	g.op(0x20, counter)
	g.op(0x41, 1)
	g.op(0x6a)
	g.op(0x22, counter)
	g.op(0x41, 1+g.pick(4))
	if again { // while: leave or go on
		g.op(0x4f) // i32.ge_u
		g.op(0x0d, 1)
		g.statements(depth)
		g.op(0x0c, 0)
	} else { // until
		g.op(0x49) // i32.lt_u
		g.op(0x0d, 0)
	}
	g.close()
	g.close()
}

// label chooses a label and writes the values that a branch there takes along.
func (g *program) label(depth int) (label int, types []byte) {
	label = g.pick(len(g.labels))
	l := g.labels[len(g.labels)-1-label]
	for _, t := range l.types {
		g.expression(t, depth)
	}
	return label, l.types
}

func (g *program) branchOut(depth int) {
	switch g.pick(8) {
	case 6:
		g.expression(i32, depth)
		g.op(0x0f) // return
	case 7:
		g.op(0x00) // unreachable
	default:
		label, _ := g.label(depth)
		g.op(0x0c, uleb(label))
	}
}

func (g *program) conditionalBranch(depth int) {
	label, types := g.label(depth)
	g.expression(i32, depth)
	g.op(0x0d, uleb(label))
	for range types {
		g.op(0x1a)
	}
}

func (g *program) branchTable(depth int) {
	var without []byte // labels that take no values
	for i := range g.labels {
		if len(g.labels[len(g.labels)-1-i].types) == 0 {
			without = append(without, uleb(i)...)
		}
	}
	if len(without) == 0 {
		return
	}
	g.open(0x02, 0x40, nil, false)
	g.expression(i32, depth)
	targets := []byte{0}
	for _, l := range without {
		if g.pick(2) == 1 {
			targets = append(targets, l+1)
		}
	}
	g.op(0x0e, sized(targets), 0)
	g.close()
}

func (g *program) length(depth int) {
	g.expression(i32, depth)
	if g.pick(16) != 1 {
		g.op(0x41, 31)
		g.op(0x71)
	}
}

func (g *program) bulkStatement(depth int) {
	switch g.pick(8) {
	case 0:
		g.address(depth)
		g.expression(i32, depth)
		g.length(depth)
		g.bulk(8, 0xfc, 0x0b, 0) // memory.fill
	case 1:
		g.address(depth)
		g.address(depth)
		g.length(depth)
		g.bulk(8, 0xfc, 0x0a, 0, 0) // memory.copy
	case 2:
		g.address(depth)
		g.op(0x41, g.pick(8))
		g.op(0x41, g.pick(8))
		g.bulk(8, 0xfc, 0x08, 1, 0) // memory.init
	case 3:
		g.op(0x41, g.pick(8))
		g.op(0x41, g.pick(3))
		g.op(0x41, g.pick(4))
		g.bulk(1, 0xfc, 0x0c, 1, 0) // table.init
	case 4:
		g.op(0x41, g.pick(8))
		g.op(0x41, g.pick(8))
		g.op(0x41, g.pick(4))
		g.bulk(1, 0xfc, 0x0e, 0, 0) // table.copy
	case 5:
		g.op(0x41, g.pick(8))
		g.op(0xd2, g.pick(4)) // ref.func, also of the host's
		g.op(0x41, g.pick(4))
		g.bulk(1, 0xfc, 0x11, 0) // table.fill
	case 6:
		g.op(0x41, g.pick(8))
		g.op(0xd0, 0x70)
		g.op(0x26, 0) // table.set
	case 7:
		g.op(0xfc, 0x09, 1) // data.drop
		g.op(0xfc, 0x0d, 1) // elem.drop
	}
}

func (g *program) rare(depth int) {
	switch g.pick(4) {
	case 0:
		g.expression(i32, depth)
		g.op(0x1a) // drop
	case 1:
		g.op(0x41, 6)
		g.open(0x02, 4, []byte{i32, i32}, false) // (i32) -> (i32, i32)
		g.expression(i32, depth)
		g.close()
		g.op(0x6a)
		g.op(0x21, localC)
	case 2:
		g.ifOnly(depth)
	case 3:
		g.open(0x02, 0x40, nil, false)
		g.statement(depth)
		g.branchOut(depth)
		g.statement(depth) // cannot be reached
		g.close()
	}
}
