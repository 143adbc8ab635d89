;; Functions that would run for ever, or for far too long. Each must be stopped by its budget: hostile_test.go.
;; Built with: wat2wasm hostile.wat (wabt 1.0.39)
(module
  (type $void (func))
  (import "host" "tick" (func $tick))
  (table 3 3 funcref)
  (elem (i32.const 0) $again $tick)
  (memory (export "memory") 1 64)

  (func (export "spin")
    loop
      br 0
    end)

  ;; Two loops that share a back edge: the inner head is never branched to.
  (func (export "shared")
    loop $outer
      loop
        i32.const 1
        br_if $outer
      end
    end)

  (func (export "spinByTable")
    loop
      i32.const 0
      br_table 0 0
    end)

  ;; No loop, but 2^n calls.
  (func $tree (export "tree") (param i32)
    local.get 0
    i32.eqz
    if
      return
    end
    local.get 0
    i32.const 1
    i32.sub
    call $tree
    local.get 0
    i32.const 1
    i32.sub
    call $tree)

  (func $again
    i32.const 0
    call_indirect (type $void)
    i32.const 0
    call_indirect (type $void))
  (func (export "indirect")
    call $again)

  (func (export "fill")
    loop
      i32.const 0
      i32.const 0
      i32.const 65536
      memory.fill
      br 0
    end)

  (func (export "copy")
    loop
      i32.const 0
      i32.const 1
      i32.const 65535
      memory.copy
      br 0
    end)

  (func (export "grow")
    loop
      i32.const 1
      memory.grow
      drop
      br 0
    end)

  (func (export "table")
    loop
      i32.const 0
      ref.null func
      i32.const 3
      table.fill 0
      br 0
    end)

  (func (export "host")
    loop
      call $tick
      br 0
    end)

  (func (export "hostByTable")
    loop
      i32.const 1
      call_indirect (type $void)
      br 0
    end)

  ;; Descends until the budget is nearly spent, then does as much as possible in every frame on its way back: address 0
  ;; counts the frames that got that far, address 4 how often their work was done.
  (func $descend (export "unwind") (param i32)
    local.get 0
    if
      local.get 0
      i32.const 1
      i32.sub
      call $descend
    end
    block $skip
      i32.const 0
      i32.const 0
      i32.load
      i32.const 1
      i32.add
      i32.store
      local.get 0
      i32.const 0x7fffffff
      i32.eq
      br_if $skip
      i32.const 4
      i32.const 4
      i32.load
      i32.const 1
      i32.add
      i32.store
    end)
)
