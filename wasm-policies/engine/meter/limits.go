package meter

// Limits bound a module. A field that is zero takes the default named beside it. They bound what the engine spends on
// compiling and instantiating a module, before any of its code runs.
type Limits struct {
	MaxModuleBytes   int    // of the original; 16 MiB
	MaxMemoryPages   uint32 // of 64 KiB; a greater minimum is refused, a greater maximum reduced; 256
	MaxTables        int    // 16
	MaxTable         uint32 // elements of each table, and of all segments; a greater minimum is refused, a greater maximum reduced; 65,536
	MaxTypes         int    // 4,096
	MaxTypeValues    int    // parameters of one type, and results; 128
	MaxImports       int    // 256
	MaxFunctions     int    // defined; 65,536
	MaxFunctionBytes int    // of the body of each; 1 MiB
	MaxLocals        int    // of each function, without parameters; 4,096
	MaxNesting       int    // of blocks within a function; 16,384
	// The next three bound what compiling one function takes, which grows faster than its size and cannot be interrupted.
	// Locals count parameters in. Measured with wazero 1.12: at each limit four seconds or less. What Go's compiler makes of its
	// standard library reaches a tenth of them.
	MaxBranches     int // blocks, and targets of branches, of each function; 8,192
	MaxBranchLocals int // their number times that of the locals; 262,144
	MaxLoopLocals   int // loops times locals, of which each function counts as having 16 or more; 16,384
	// MaxLargeFunctions bounds what compiling the whole module takes: so many functions at the three limits above, or four
	// times as many at half of them, and so on, as it grows with the square; 8. What Go's compiler makes of a policy takes
	// less than half of one.
	MaxLargeFunctions int

	MaxGlobals   int // 1,024
	MaxExports   int // 1,024
	MaxSegments  int // of elements, and of data, of which the Go compiler makes many; 262,144
	MaxCustoms   int // custom sections; 256
	MaxNameBytes int // of each name of an import, export or custom section; 1,024
}

// withDefaults returns l with the defaults in place of zeroes.
func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.MaxModuleBytes, 16<<20)
	def(&l.MaxTables, 16)
	def(&l.MaxTypes, 4096)
	def(&l.MaxTypeValues, 128)
	def(&l.MaxImports, 256)
	def(&l.MaxFunctions, 65536)
	def(&l.MaxFunctionBytes, 1<<20)
	def(&l.MaxLocals, 4096)
	def(&l.MaxNesting, 16384)
	def(&l.MaxBranches, 1<<13)
	def(&l.MaxBranchLocals, 1<<18)
	def(&l.MaxLoopLocals, 1<<14)
	def(&l.MaxLargeFunctions, 8)
	def(&l.MaxGlobals, 1024)
	def(&l.MaxExports, 1024)
	def(&l.MaxSegments, 1<<18)
	def(&l.MaxCustoms, 256)
	def(&l.MaxNameBytes, 1024)
	if l.MaxMemoryPages == 0 {
		l.MaxMemoryPages = 256
	}
	if l.MaxTable == 0 {
		l.MaxTable = 65536
	}
	return l
}
