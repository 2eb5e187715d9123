/**
 * Four seconds of black and silence (H.264 with B-frames at 24/s, a key frame a second, AAC), deflated, base64:
 * ffmpeg -f lavfi -i color=black:s=16x16:r=24:d=4 -f lavfi -i anullsrc=r=48000:cl=mono -t 4 -c:v libx264 -bf 2 -g 24
 * -sc_threshold 0 -pix_fmt yuv420p -c:a aac -b:a 8k -movflags +faststart
 */
export const WARM_UP_CLIP = [
  "eNrtlglsFFUYx9/2Aira3e7OtiLRQTAB6bHb1oKNK9TSWLUmHhEvwjo787Y76czOMDNtt8Zjq0SJGkGjRKkWNRovEoNC1ABaI5EYo5F4kmhooxKv",
  "WCUkHtGu/ze7S6ftFOuBQUPT375jvu+9973vfd97hBA+bvXqsqmphBQQVoI6oVsMq3pDmJDZnaqmdRNCFLU7IZFxf4VfElL2CPEQ9j/25xkvNbG9",
  "nBzxr5CQGfdYhtCJ+iqr056zcPJomJcceR7Xeb05CFlAJctEOZcqpjWmwcYtyunOmKVKsoAKr0oTbQ+BQXLFbrtRnZAUI/+lW5aoU3Il2lqbkJQU",
  "ymRKtqlyMo5KoFu1B3Uuc4GU/TZXMmjcYcbsLkPhs/USy7RiCuo7TcuUHDJbmNOm2ApmtJe0oWzLS8xuhzyvyLFUXWODmyMqMxn8sqPQ4pFIaWaY",
  "VHSg3LJv9eAK5pIi9jN4TtvGqzykKDGy/q3ffvrJnkkXTD23BkYgZhm5DS5bmIVUmpa9+fm1XscOH9to2JTvL8p9Oxkwuy6ATEgc01uR/V6UG2Mm",
  "Kwty4/wL7ZJcmW8fX8cxuI6FOE9i7rwU5M7TxJKlr/sgd73j7LPzuJ3FnYMTwUn/QD1fcsfHP9L4nrtMS9Ry/oiiqx+5A34pQy4pWwceBi+APeAT",
  "cBCpB873ngKQL7yt4BqWjsBa8CB4DrwOPgbfEeLDGfBVAuQkH+R9VwNchL4+sBFsAYPgA/ANQEYsD4AzwbngciCDG8G94CmwE+wFn4EfCfHDNv88",
  "AHn/ZQB53Y+z5l8PngAvg3fA5wAJNAD5wHywBLSz9MmuCnAngM2BreANAJsD38MNsJmbAyDPXQSwVxxyJIc94gbA8wB7xH0KfiAkCPngXIAbLAib",
  "g9cCXLbBNIDNwWfAqwA2B78CsLlo0REu5AKXC9nj+fMPgWlcyIWPTn0h70iTgoOuF7KpdSWdkpejLY1dyIXtuQvZa6rjBp3GZVzozV3GN024jJN4",
  "PQmTzPZk3x5YKvtrpKZkX2aF6XT6DOxjEcqK5Zz98TTsTvH+YvQU+9at/IKUoOYpGH+dZmWy1+bha5HJ7BxLv7Z37nOkwRMcV3M+DeZTYYWjv9LR",
  "X+Xor3b0Nzv6z3P0X+nov8rRHyXZ/Gw/Cxwply121+SQL1sFsLtl2K+y+8GzAEez7H3wNRiF0/xgEYgAhJc3AW4A94AnwQ7wLjgAfkEIwwO+BQDy",
  "vksB3mq+XnA3eBy8BN4GCF8fwrccqaj8dNAIEF7l8Gp5F7gD4GiWbwNvAvihfAQhXAzwZPFD3n8hWA1wzPy3A4SvH+HrR/j6Eb5+hG8A8gGkrEAt",
  "wJMmgJQVwHEN3AqQsgJPg1cAbA7gvR2AzVw5gDzXArDXHEKTwx5xCF8O4cthjziEL4fw5SAfRMoKIsUFYXMQKSvYAVIANgcfAy8C2BwcBrC5gp2R",
  "OWaHLjFHGZqi5H1oPwnnmrEO9sDLf/FkvWeXkS7JYuf+LJVa+fM/zxmMCGBD0HXFGZAz5WzEz4wbFO4o3aBKAtoFD5UUZzIPfNL61a4D+9pe3Fj1",
  "Mb9v/ncj7L3KV/OiZlA+bFfbatBVe/ElredXN/DNK1vwTaIiPrRoeq9C4xZfFwrVV9eF6ph0wrL0ptranp6eGvZU1xQhWaMZHbVs3JqEpSqQ0XRL",
  "1pJmEy8KMUGMhHlkAPxKNKZoYmck3BRqCvFCUlB6TRoJpeqbQqlwuJ5XaSRBU7zZFUOtjtfNXijhN2pIkXBNCEr44VU5RaUoGxF1GjWEZAeNhBt5",
  "MWFoqhCFapi3DKoosgmJpamlkmihS1yjoilRQbpeS2L4cFU4zMcF04rqZqesM4nsAGv0qBaPm9SCuJUwoGDio6JpnUICjehYn6nIIh3rCPFJw55C",
  "lFXBYsuQkxY1FAFC6I8pXYbQGxU1VRfY2CJ2CPeCnMQQEDQEJhM3BJWaMD4W1XtRlyW7LkiCzoyIRWOywGbCMaC2WT1U7khYMdQ0nSajHZqOr9lO",
  "ZlMn7cXYEXguW4siWWNEU6RJKnaxZdhTs+00qJlA2xCjh22NhFk7IhpxXkXepMwmNCJ19TUhfg2zJBKqaURVZ8PapZCKNJ6NimlRPdLAyzochMMA",
  "/zXA5Wvge+ZJwlK4j65bS5ZkPkydmjm05OGPzMzP7BA3b5pfeVtmdMhTyc+w2wPN53GZ3X2sne/zDMRWLM7sTjv6ZjVvije0t9w8OuzoLG0eWNvq",
  "q1o8Sf2JFRP6oP60m/qeVq5qwkxQ/9Jl9m9d1DeXuqlvXjxZvb/WTf3irPr4xW9OTl58v2GrD41X3+A6+1YX9e1u6u+5qh+aqF7a3P9jQ/tjQnR0",
  "cPwuBQ9LZp19Cylatn/0hB2/bgvtJSMZp7DT6Uff8Wk3xw+5Or7vn3d833/K8X/o9NemcvqY49cSb+YoOn7o7zl++Bh0fNrF8Wk3xw9P7fi/5vS+",
  "aUf7NBx/lCN+6P+X6tNTRfw0nf7Hjl/2tx3vluYPTz6R3wEuLva6",
].join("");
