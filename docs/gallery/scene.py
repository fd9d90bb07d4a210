"""Draws docs/gallery/scene.png and brush.png with nothing but the standard library: a landscape, and strokes of paint.

python3 docs/gallery/scene.py
"""
import math, os, struct, zlib, random


def write_png(path, width, height, pixel):
    rows = b"".join(b"\0" + bytes(c for x in range(width) for c in pixel(x, y)) for y in range(height))
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def mix(a, b, part):
    return tuple(a[i] + (b[i] - a[i]) * part for i in range(3))


def noise(x, y, seed=0):
    """Smooth value noise in 0..1."""
    def at(i, j):
        n = (i * 374761393 + j * 668265263 + seed * 2147483647) & 0xFFFFFFFF
        n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
        return ((n ^ (n >> 16)) & 0xFFFF) / 65535
    i, j = math.floor(x), math.floor(y)
    u, v = x - i, y - j
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    return (at(i, j) * (1 - u) + at(i + 1, j) * u) * (1 - v) + (at(i, j + 1) * (1 - u) + at(i + 1, j + 1) * u) * v


def scene(width=360, height=270):
    def pixel(px, py):
        x, y = px / width, py / height
        cloud = 0.6 * noise(5 * x, 12 * y, 3) + 0.4 * noise(11 * x, 25 * y, 4)
        colour = mix((92, 150, 214), (238, 214, 178), min(1, y / 0.55))
        colour = mix(colour, (250, 248, 244), max(0, (cloud - 0.55) * 2.2) * (1 - y))
        if (x - 0.78) ** 2 + ((y - 0.2) * 0.75) ** 2 < 0.055 ** 2:
            colour = (255, 236, 160)
        far = 0.47 - 0.16 * noise(3.2 * x + 1, 0, 5) - 0.05 * noise(9 * x, 0, 6)
        if y > far:
            colour = mix((88, 104, 140), (122, 138, 168), noise(14 * x, 14 * y, 7))
            if y < far + 0.045 * (0.4 + noise(20 * x, 0, 8)):
                colour = (236, 240, 246)
        hill = 0.6 - 0.07 * math.sin(3.4 * x + 0.5) - 0.02 * noise(8 * x, 0, 9)
        if y > hill:
            stripe = 0.5 + 0.5 * math.sin(60 * (y - hill) / (0.4 + y) + 8 * x)
            colour = mix(mix((64, 116, 58), (120, 158, 74), stripe), (40, 80, 44), 0.5 * noise(60 * x, 60 * y, 10))
        # A house.
        if 0.16 < x < 0.38 and 0.52 < y < 0.76:
            brick = ((py // 6) % 2 * 6 + px) % 12 < 1 or py % 6 < 1
            colour = (214, 196, 176) if brick else (182, 84, 66)
            for left in (0.19, 0.305):
                if left < x < left + 0.045 and 0.565 < y < 0.635:
                    colour = (250, 246, 235) if abs(x - left - 0.0225) < 0.003 or abs(y - 0.6) < 0.004 else (70, 92, 120)
            if 0.245 < x < 0.295 and y > 0.645:
                colour = (86, 60, 40)
        if 0.36 < y < 0.525 and abs(x - 0.27) < 0.145 * (y - 0.36) / 0.165 + 0.005:
            colour = mix((96, 62, 58), (130, 86, 76), (py // 4) % 2)
        # A tree.
        if abs(x - 0.66) < 0.012 + 0.01 * (y - 0.6) and 0.55 < y < 0.82:
            colour = mix((92, 66, 44), (66, 46, 30), noise(90 * x, 20 * y, 11))
        d = math.hypot((x - 0.66), 0.75 * (y - 0.46)) + 0.05 * (noise(22 * x, 22 * y, 12) - 0.5)
        if d < 0.125:
            colour = mix((30, 84, 44), (112, 164, 62), noise(50 * x, 50 * y, 13) * (1.25 - 0.9 * (y - 0.3) / 0.3))
        # A fence, and a path of stones.
        if 0.80 < y < 0.90 and (px % 26 < 6 or abs(y - 0.825) < 0.008 or abs(y - 0.87) < 0.008):
            colour = mix((236, 230, 216), (176, 166, 150), (y - 0.8) / 0.1)
        if y > 0.92:
            stone = noise(26 * x, 50 * y, 14)
            colour = mix((120, 112, 104), (190, 182, 170), stone) if stone > 0.42 else (84, 78, 72)
        return tuple(max(0, min(255, int(c + 0.5))) for c in colour)
    return width, height, pixel


def brush(width=256, height=256):
    """Curved strokes of paint in a few strong colours."""
    random.seed(5)
    paints = [(28, 58, 120), (44, 104, 168), (242, 190, 60), (232, 120, 50), (236, 228, 200), (24, 96, 90), (140, 40, 60)]
    canvas = [[(34, 52, 92)] * width for _ in range(height)]
    for _ in range(1500):
        x, y = random.uniform(0, width), random.uniform(0, height)
        paint = random.choice(paints)
        if noise(x / 70, y / 70, 20) > 0.5:
            paint = random.choice(paints[:2] + paints[5:6])
        length, thick = random.randint(14, 40), random.uniform(1.5, 3.6)
        shade = random.uniform(0.82, 1.15)
        for _ in range(length):
            angle = 2 * math.pi * noise(x / 60, y / 60, 21) * 1.6 + math.atan2(y - 120, x - 140) * 0.7
            x, y = x + math.cos(angle), y + math.sin(angle)
            for dy in range(-4, 5):
                for dx in range(-4, 5):
                    i, j = int(x) + dx, int(y) + dy
                    across = abs(-dx * math.sin(angle) + dy * math.cos(angle))
                    if across < thick and math.hypot(dx, dy) < thick + 1 and 0 <= i < width and 0 <= j < height:
                        light = shade * (1.12 if int(across * 2) % 2 else 0.92)
                        canvas[j][i] = tuple(max(0, min(255, int(c * light))) for c in paint)
    return width, height, lambda x, y: canvas[y][x]


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    for name, drawing in (("scene", scene()), ("brush", brush())):
        write_png(os.path.join(here, name + ".png"), *drawing)
