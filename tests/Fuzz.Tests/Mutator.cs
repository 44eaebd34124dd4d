namespace Moe.Plugins.Fuzz;

/// <summary>Makes inputs of seeds: bits flipped, parts cut, doubled, moved between seeds, and words put in that formats care about.</summary>
internal sealed class Mutator(byte[][] seeds, byte[][] words)
{
    /// <summary>Longest input; a part that is doubled over and over stops there.</summary>
    private const int MaxLength = 16 << 10;

    private const int MaxMutations = 6;

    /// <summary>The input of a number: always the same one.</summary>
    public byte[] Make(long number)
    {
        var random = new Random(unchecked((int)(number ^ (number >> 32)) * 31));
        List<byte> bytes = [.. seeds[random.Next(seeds.Length)]];
        for (int i = random.Next(1, random.Next(2, MaxMutations + 2)); i > 0; i--)
        {
            Mutate(bytes, random);
        }

        return bytes.Count > Math.Max(MaxLength, seeds.Max(static s => s.Length)) ? [.. bytes.Take(MaxLength)] : [.. bytes];
    }

    private void Mutate(List<byte> bytes, Random random)
    {
        int at = random.Next(bytes.Count + 1);
        int length = Math.Min(random.Next(1, 1 << random.Next(1, 9)), bytes.Count - at);
        switch (random.Next(8))
        {
            case 0 when at < bytes.Count:
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1 when at < bytes.Count:
                bytes[at] = (byte)random.Next(256);
                break;
            case 2:
                bytes.RemoveRange(at, length);
                break;
            case 3:
                bytes.InsertRange(at, bytes.GetRange(at, length));
                break;
            case 4:
                byte[] other = seeds[random.Next(seeds.Length)];
                int from = random.Next(other.Length + 1);
                bytes.InsertRange(at, other[from..Math.Min(other.Length, from + random.Next(200))]);
                break;
            case 5:
                // Over and over: depth and number.
                byte[] part = [.. bytes.GetRange(at, Math.Min(length, 8))];
                for (int i = random.Next(200); i > 0; i--)
                {
                    bytes.InsertRange(at, part);
                }

                break;
            case 6 when at + sizeof(int) <= bytes.Count:
                int number = random.Next(4) switch { 0 => int.MaxValue, 1 => -1, 2 => random.Next(), _ => random.Next(1024) };
                bytes.RemoveRange(at, sizeof(int));
                bytes.InsertRange(at, BitConverter.GetBytes(number));
                break;
            default:
                bytes.InsertRange(at, words[random.Next(words.Length)]);
                break;
        }
    }
}
