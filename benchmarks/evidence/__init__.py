"""The paper's tables on domains that anybody can make: does adaptation from silhouettes recover pose?"""
