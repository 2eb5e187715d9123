;; Copies a payload into transport packets (ISO/IEC 13818-1 §2.4.3.2): per packet 4 bytes of header, 184 of payload.
;; 184 = 11 × 16 + 8: eleven vector moves and one of eight bytes, so nothing outside of the payload is read or written.
(module
  (import "memory" "memory" (memory 1))
  ;; packets(source, target, count, header, counter) -> the next continuity counter, unmasked
  ;; header: sync byte and PID as they lie in memory, little endian, high byte 0
  (func (export "packets")
    (param $source i32) (param $target i32) (param $count i32) (param $header i32) (param $counter i32) (result i32)
    (block $end
      (loop $next
        (br_if $end (i32.eqz (local.get $count)))
        (i32.store align=1 (local.get $target)
          (i32.or (local.get $header)
            (i32.shl (i32.or (i32.const 0x10) (i32.and (local.get $counter) (i32.const 15))) (i32.const 24))))
        (v128.store offset=4 align=1 (local.get $target) (v128.load offset=0 align=1 (local.get $source)))
        (v128.store offset=20 align=1 (local.get $target) (v128.load offset=16 align=1 (local.get $source)))
        (v128.store offset=36 align=1 (local.get $target) (v128.load offset=32 align=1 (local.get $source)))
        (v128.store offset=52 align=1 (local.get $target) (v128.load offset=48 align=1 (local.get $source)))
        (v128.store offset=68 align=1 (local.get $target) (v128.load offset=64 align=1 (local.get $source)))
        (v128.store offset=84 align=1 (local.get $target) (v128.load offset=80 align=1 (local.get $source)))
        (v128.store offset=100 align=1 (local.get $target) (v128.load offset=96 align=1 (local.get $source)))
        (v128.store offset=116 align=1 (local.get $target) (v128.load offset=112 align=1 (local.get $source)))
        (v128.store offset=132 align=1 (local.get $target) (v128.load offset=128 align=1 (local.get $source)))
        (v128.store offset=148 align=1 (local.get $target) (v128.load offset=144 align=1 (local.get $source)))
        (v128.store offset=164 align=1 (local.get $target) (v128.load offset=160 align=1 (local.get $source)))
        (i64.store offset=180 align=1 (local.get $target) (i64.load offset=176 align=1 (local.get $source)))
        (local.set $source (i32.add (local.get $source) (i32.const 184)))
        (local.set $target (i32.add (local.get $target) (i32.const 188)))
        (local.set $counter (i32.add (local.get $counter) (i32.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (local.get $counter)))
