#!/bin/sh
# Stands for ffmpeg where many channels are measured: live runs copy a clip that was encoded before (BENCH_CLIP) to the
# pipes that they were asked for; everything else is the real one (BENCH_FFMPEG).
case " $* " in
*" pipe:3 "*)
  mux="-c copy -f mp4 -movflags +cmaf+frag_every_frame+frag_discont+skip_trailer -use_editlist 0 -flush_packets 1"
  exec "$BENCH_FFMPEG" -hide_banner -nostats -nostdin -loglevel level+info -re -stream_loop -1 -i "$BENCH_CLIP" \
    -map 0:v $mux pipe:3 -map 0:a $mux pipe:4 ;;
*) exec "$BENCH_FFMPEG" "$@" ;;
esac
